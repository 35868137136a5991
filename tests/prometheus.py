"""A real Prometheus, and its promtool, for tests: the system's, else those of Debian's package, in the user's cache.

The package is unpacked and not installed: no daemon starts, and it needs no root.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.services.home import file_lock
from jobs.services.jars import cache_folder

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "monitoring"
METRIC = re.compile(r"\bshutterlog_[a-z0-9_]+")
_SECONDS = 60.0
_LOOK_SECONDS = 0.1
EVERY = "500ms"
"""How often the Prometheus of a test asks and judges, instead of every 15 s."""


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``. Skips the test where neither the system nor its packages have it."""
    found = shutil.which(name)
    if found is None and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        found = _from_package(name)
    if found is None:
        pytest.skip(f"{name} is missing and could not be had with apt-get (Debian: apt-get install prometheus)")
    return found


def _from_package(name: str) -> str | None:
    folder = cache_folder() / "prometheus"
    binary = folder / "usr" / "bin" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_suffix(".lock")):
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent) as there:
                _unpack(Path(there))
                if (Path(there) / "usr" / "bin" / name).exists():
                    shutil.rmtree(folder, ignore_errors=True)
                    (folder / "usr").mkdir(parents=True)
                    (Path(there) / "usr" / "bin").rename(folder / "usr" / "bin")
    return str(binary) if binary.exists() else None


def _unpack(folder: Path) -> None:
    """The newest package that the lists know; they are brought up to date (by root) where it is not there any more."""
    for command in (["true"], ["apt-get", "update", "-qq"]):
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        subprocess.run(["apt-get", "download", "-qq", "prometheus"], cwd=folder, capture_output=True, check=False)
        for package in folder.glob("prometheus_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], capture_output=True, check=False)
            return


def promtool(*arguments: str) -> str:
    """What promtool says, in the folder of the rules; fails where it finds a fault."""
    command = [program("promtool"), *arguments]
    answer = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


class Prometheus:
    """A running one, with the rules that are shipped."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> Any:
        """What its API answers."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._url}{path}?{query}", timeout=10) as answer:  # noqa: S310 - our own
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series that ``expression`` gives now."""
        found = self.ask("/api/v1/query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def firing(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire."""
        return [one["labels"] for one in self.ask("/api/v1/alerts")["alerts"] if one["state"] == "firing"]

    def is_ready(self) -> bool:
        """Whether it has asked everybody, and judged what it got."""
        with contextlib.suppress(OSError):
            targets = self.ask("/api/v1/targets")["activeTargets"]
            groups = self.ask("/api/v1/rules")["groups"]
            unknown = any(rule["health"] == "unknown" for group in groups for rule in group["rules"])
            return bool(targets) and all(one["health"] == "up" for one in targets) and bool(groups) and not unknown
        return False


def alerts_of(firing: Sequence[Mapping[str, str]], **wanted: str) -> list[Mapping[str, str]]:
    """Those that carry all of these labels."""
    return [labels for labels in firing if wanted.items() <= labels.items()]


@contextlib.contextmanager
def running(folder: Path, **targets: int) -> Iterator[Prometheus]:
    """A Prometheus by the files that are shipped, which asks the ports of 127.0.0.1 that are given by the names of its
    jobs, and often. Ready when given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    configuration["rule_files"] = [str(FOLDER / "rules.yml")]
    scraped = [one for one in configuration["scrape_configs"] if one["job_name"] in targets]
    assert {one["job_name"] for one in scraped} == set(targets)
    for one in scraped:
        one["static_configs"] = [{"targets": [f"127.0.0.1:{targets[one['job_name']]}"]}]
    configuration["scrape_configs"] = scraped
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        prometheus = Prometheus(port)
        deadline = time.monotonic() + _SECONDS
        while not prometheus.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Prometheus is not ready: {(folder / 'prometheus.log').read_text()[-2000:]}")
            time.sleep(_LOOK_SECONDS)
        yield prometheus
    finally:
        process.terminate()
        process.wait(30)
