"""Places that an operator names: a file of GeoNames, as it is published (https://download.geonames.org/export/dump/),
tab-separated with 19 columns, in a ZIP or not."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from streams.search import City

_COLUMNS = 19


class NoPlaces(ValueError):
    """The file cannot be read as one of GeoNames."""


def fingerprint(path: Path) -> str:
    """Of the file's contents. Raises ``OSError``."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def cities(path: Path) -> Iterator[City]:
    """The places in the file, in its order. Raises ``NoPlaces``, with the line, and ``OSError``."""
    for number, line in enumerate(_lines(path), 1):
        fields = line.rstrip("\n").split("\t")
        if len(fields) != _COLUMNS:
            raise NoPlaces(f"{path.name}, line {number}: {len(fields)} columns, where GeoNames has {_COLUMNS}")
        try:
            yield City(
                id=int(fields[0]),
                name=fields[1],
                others=tuple(dict.fromkeys(name for name in (fields[2], *fields[3].split(",")) if name)),
                latitude=float(fields[4]),
                longitude=float(fields[5]),
                country=fields[8],
                population=int(fields[14] or 0),
            )
        except ValueError as error:
            raise NoPlaces(f"{path.name}, line {number}: {error}") from error


def _lines(path: Path) -> Iterator[str]:
    if not zipfile.is_zipfile(path):
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".txt")]
        if len(names) != 1:
            raise NoPlaces(f"{path.name} holds {len(names)} files that end in .txt, where one is expected")
        with archive.open(names[0]) as packed:
            for line in packed:
                yield line.decode("utf-8")
