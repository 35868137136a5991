"""The audit of dependencies: each of its faults is found, and what could not be checked is said."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from jobs import dependencies
from jobs.dependencies import LOCK, Pin, audit, faults_of, is_allowed, licences_of, locked

PIN = Pin("fine", "1.2", 1)


def installed(
    folder: Path, text: str = "x = 1\n", licence: str = "License-Expression: MIT", version: str = "1.2"
) -> Any:
    """A way to find the package ``fine``, installed in ``folder``."""
    (folder / "fine.py").write_text("x = 1\n")
    kept = base64.urlsafe_b64encode(hashlib.sha256((folder / "fine.py").read_bytes()).digest()).rstrip(b"=").decode()
    info = folder / "fine-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: fine\nVersion: {version}\n{licence}\n")
    (info / "RECORD").write_text(f"fine.py,sha256={kept},6\nfine-1.2.dist-info/RECORD,,\n")
    (folder / "fine.py").write_text(text)

    def find(name: str) -> Distribution:
        if name != "fine":
            raise PackageNotFoundError(name)
        return Distribution.at(info)

    return find


def test_a_package_as_it_is_locked_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(PIN, installed(tmp_path)) == []


def test_each_fault_is_found(tmp_path: Path) -> None:
    for number, (changes, words) in enumerate(
        (
            ({"text": "x = 2\n"}, "fine.py is not what was installed"),
            ({"licence": "License-Expression: AGPL-3.0-only"}, "AGPL-3.0-only"),
            ({"licence": ""}, "none that is told"),
            ({"version": "1.3"}, "installed as 1.3 and locked as 1.2"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (fault,) = faults_of(PIN, installed(folder, **changes))
        assert words in fault
    find = installed(tmp_path)
    (tmp_path / "fine.py").unlink()
    assert "fine.py is not there any more" in faults_of(PIN, find)[0]
    assert "no hash" in faults_of(PIN._replace(hashes=0), find)[0]
    assert "not installed" in faults_of(Pin("absent", "1", 1), find)[0]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("(MIT AND Zlib) OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_of_what_may_be_chosen_one_is_enough_and_of_what_holds_together_all(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


def test_licences_are_read_as_metadata_word_them() -> None:
    osi = "License :: OSI Approved :: "
    assert licences_of({"License-Expression": "MIT"}, [osi + "BSD License"]) == "MIT"
    assert licences_of({"License": "see LICENSE"}, [osi + "MIT License", osi + "Apache Software License"]) == (
        "MIT AND Apache-2.0"
    )
    assert licences_of({"License": "Apache 2.0"}, []) == "Apache-2.0"
    assert not is_allowed(licences_of({"License": "All rights reserved\nfor ever"}, []))


def test_the_lock_is_read_whole() -> None:
    pins = locked(LOCK.read_text())
    assert len(pins) > 100 and all(pin.hashes for pin in pins)
    assert {"fastapi", "pytest", "confluent-kafka"} <= {pin.name for pin in pins}


@contextmanager
def database(answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """The address of a database that answers ``answer``, and what it is asked."""
    asked: list[Any] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/querybatch", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one package, which is installed."""
    find = installed(tmp_path)
    monkeypatch.setattr(dependencies, "faults_of", lambda pin: faults_of(pin, find))
    path = tmp_path / "requirements.lock"
    path.write_text("fine==1.2 \\\n    --hash=sha256:00\n")
    return path


def test_a_known_vulnerability_is_a_fault_unless_it_is_accepted(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with database({"results": [{"vulns": [{"id": "PYSEC-1", "modified": "2026"}]}]}) as (url, asked):
        (fault,), said = audit(lock, url)
        assert "fine 1.2" in fault and "PYSEC-1" in fault
        assert asked == [{"queries": [{"package": {"name": "fine", "ecosystem": "PyPI"}, "version": "1.2"}]}]
        assert said[-1] == "known vulnerabilities (OSV) were checked"
        monkeypatch.setattr(dependencies, "ACCEPTED", {"PYSEC-1": "only on another system"})
        assert audit(lock, url)[0] == []
    with database({"results": [{}]}) as (url, _):
        assert audit(lock, url)[0] == []


@pytest.mark.parametrize("answer", [{"results": []}, {"error": "busy"}, "busy"])
def test_what_was_not_checked_is_said(lock: Path, answer: Any) -> None:
    with database(answer) as (url, _):
        faults, said = audit(lock, url)
    assert faults == [] and said[-1].startswith("NOT CHECKED: known vulnerabilities")
    faults, said = audit(lock, "http://127.0.0.1:1/")
    assert faults == [] and said[-1].startswith("NOT CHECKED: known vulnerabilities")


def test_an_empty_lock_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("# nothing\n")
    assert audit(tmp_path / "lock", "http://127.0.0.1:1/")[0]
