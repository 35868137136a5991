"""The Java services' jars: resolved once by Maven, then shared by every home."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from jobs.services.failures import StackError, ToolMissing
from jobs.services.home import file_lock

MARKER = "complete"
MINIMUM_JAVA = 17


def cache_folder() -> Path:
    """``$SHUTTERLOG_CACHE``, else ``shutterlog`` in the user's cache folder."""
    named = os.environ.get("SHUTTERLOG_CACHE")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shutterlog"


def resolve(service: str) -> Path:
    """The folder with every jar of ``service``; downloaded when the POM beside this file is new to the cache."""
    pom = Path(__file__).with_name(f"{service}.pom.xml")
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / "jars" / f"{service}-{digest}"
    if (folder / MARKER).exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_suffix(".lock")):
        if not (folder / MARKER).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _copy(service, pom, folder)
            (folder / MARKER).touch()
    return folder


def java() -> str:
    """The path of a Java that is new enough."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not Path(found).exists():
        raise ToolMissing(f"java is missing: install Java {MINIMUM_JAVA} (Debian: openjdk-17-jre-headless)")
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    if version is None or int(version[1]) < MINIMUM_JAVA:
        shown = version[1] if version else "unknown"
        raise ToolMissing(f"{found} is Java {shown}; the local services need Java {MINIMUM_JAVA}")
    return found


def _copy(service: str, pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise ToolMissing("mvn is missing: install Maven (Debian: maven), it fetches the jars of the local services")
    command = [maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not any(folder.glob("*.jar")):
        raise StackError(f"Maven could not fetch the jars of {service}:\n{(answer.stdout + answer.stderr)[-2000:]}")
