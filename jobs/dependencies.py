"""``python -m jobs.dependencies``: whether what is installed is what is locked, unchanged, and may be used.

Of every package of ``requirements.lock``: it has hashes, it is installed at its version, its files are those that were
installed (by the hashes of its ``RECORD``), and its licence is one of ``ALLOWED``. All of that is asked of this
machine alone. Whether any has a known vulnerability is asked of the OSV database, in one request; where that cannot be
reached, a line says that it was not checked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
OSV = "https://api.osv.dev/v1/querybatch"
SECONDS = 10.0

ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU"),
        *("MPL-2.0", "PSF-2.0", "Zlib", "ZPL-2.1"),
        "LGPL-3.0-or-later",  # pyvips-binary: a library that tests load, and that is not shipped
    }
)
"""SPDX names of licences that anything here may have."""
TOLD = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "bsd-derived (http://www.repoze.org/license.txt)": "ZPL-2.1",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "repoze public license": "ZPL-2.1",
}
"""Licences as metadata of before SPDX word them. Repoze's has the terms of the Zope Public License."""
ACCEPTED: Mapping[str, str] = {}
"""Vulnerabilities, by their ids, that do not concern this project, each with the reason why."""
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


class Pin(NamedTuple):
    """A package of the lock; ``hashes`` counts those of its files."""

    name: str
    version: str
    hashes: int


def locked(text: str) -> list[Pin]:
    """The packages of a lock."""
    pins: list[Pin] = []
    for line in text.splitlines():
        if found := _PIN.match(line):
            pins.append(Pin(found[1], found[2], 0))
        elif "--hash=sha256:" in line and pins:
            pins[-1] = pins[-1]._replace(hashes=pins[-1].hashes + 1)
    return pins


def licences_of(metadata: Mapping[str, str], classifiers: Sequence[str]) -> str:
    """The licence as an SPDX expression, by whatever the metadata has; as it is worded there, where nobody knows."""
    told = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: OSI Approved :: ")]
    told = told or [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License :: ")]
    words = metadata.get("License-Expression") or (None if told else metadata.get("License"))
    if words:
        words = words.strip()
        return TOLD.get(words.lower(), words.partition("\n")[0][:80])
    return " AND ".join(TOLD.get(one.lower(), one) for one in told) or "none that is told"


def is_allowed(expression: str) -> bool:
    """Whether all of ``expression`` is allowed, or one of what may be chosen."""
    choices = re.sub(r"[()]", " ", expression).split(" OR ")
    return any(all(one.strip() in ALLOWED for one in choice.split(" AND ")) for choice in choices)


def changed_files(package: Distribution) -> Iterator[str]:
    """Files of an installed package that are not as they were installed."""
    for file in package.files or ():
        if file.hash is None or file.suffix == ".pyc":
            continue
        path = Path(str(package.locate_file(file)))
        try:
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
        except FileNotFoundError:
            yield f"{file} is not there any more"
            continue
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
            yield f"{file} is not what was installed"


def faults_of(pin: Pin, find: Callable[[str], Distribution] = distribution) -> list[str]:
    """What is wrong with one package, as sentences."""
    faults = [] if pin.hashes else [f"{pin.name}: the lock has no hash of it. Run `make lock`."]
    try:
        package = find(pin.name)
    except PackageNotFoundError:
        return [*faults, f"{pin.name} is locked and not installed. Run `make setup`."]
    if package.version != pin.version:
        faults.append(f"{pin.name} is installed as {package.version} and locked as {pin.version}. Run `make setup`.")
    metadata = {name: package.metadata[name] for name in ("License-Expression", "License") if name in package.metadata}
    licence = licences_of(metadata, package.metadata.get_all("Classifier") or [])
    if not is_allowed(licence):
        faults.append(f"{pin.name} has the licence {licence!r}, which is not in ALLOWED of {Path(__file__).name}.")
    return [*faults, *(f"{pin.name}: {what}. Install it anew." for what in changed_files(package))]


def vulnerabilities(pins: Sequence[Pin], url: str = OSV) -> list[str]:
    """What the database knows of these versions, as sentences. Raises ``OSError`` where it does not answer."""
    queries = [{"package": {"name": one.name, "ecosystem": "PyPI"}, "version": one.version} for one in pins]
    body = json.dumps({"queries": queries}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        results = json.load(answer)["results"]
    if len(results) != len(pins):
        raise OSError(f"{len(results)} answers to {len(pins)} questions")
    return [
        f"{pin.name} {pin.version} has the vulnerability {one['id']}. Raise its version, or say in ACCEPTED why not."
        for pin, result in zip(pins, results, strict=True)
        for one in result.get("vulns", ())
        if one["id"] not in ACCEPTED
    ]


def audit(lock: Path = LOCK, url: str = OSV) -> tuple[list[str], list[str]]:
    """Faults, and what to say besides."""
    pins = locked(lock.read_text())
    if not pins:
        return [f"{lock} names no package."], []
    with ThreadPoolExecutor() as threads:
        faults = [fault for found in threads.map(faults_of, pins) for fault in found]
    said = [f"{len(pins)} packages: hashes in the lock, versions, installed files and licences were checked"]
    try:
        faults += vulnerabilities(pins, url)
        said.append("known vulnerabilities (OSV) were checked")
    except (OSError, ValueError, LookupError, TypeError) as error:
        said.append(f"NOT CHECKED: known vulnerabilities, since {url} gave no answer ({error})")
    return faults, said


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"dependencies: {line}")


def main() -> None:
    """Status 1 where anything is wrong."""
    faults, said = audit()
    _print([*said, *faults])
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
