"""Logs of who turned to what, in the forms in which such data are published: what the benches replay.

A line holds a user and an item, and may hold a rating, a time and a kind of interaction. Commas, tabs, semicolons,
bars, ``::`` or blanks part them; a header may name them; lines that begin with # or % are comments; gzipped or not.
Without a header the columns stand as MovieLens (user, item, rating, time), SNAP (source, target, time) or the Higgs log
(source, target, time, kind) have them: which one it is shows in the first thousand lines.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, islice
from math import isfinite
from pathlib import Path
from typing import NamedTuple

FORM = "user, item and, each if there is one, rating, time and kind"
_SAMPLE = 1000
_DELIMITERS = ("::", "\t", ",", ";", "|")
_WORDS = {
    "user": "user userid uid usera username source src from visitorid reviewerid person personid actor actorid",
    "item": "item itemid iid movieid movie userb target dst dest to post postid artistid productid product asin "
    "parentasin bookid isbn songid trackid followee",
    "rating": "rating ratings score stars overall weight value bookrating",
    "time": "timestamp time unixtime unixtimestamp ts at date datetime unixreviewtime createdat",
    "kind": "kind type event eventtype interaction interactiontype behavior behaviour action",
}
_NAMES: Mapping[str, str] = {word: kind for kind, words in _WORDS.items() for word in words.split()}
"""What a header's word, in small letters alone, names."""
_EARLIEST = 1e8
"""Numbers from here on are taken for times in seconds: no rating is so high, and 1973 is early enough."""
_MS, _US = 1e11, 1e14
"""From here on they are milliseconds, and microseconds."""
_HIGHEST_RATING = 100


class Row(NamedTuple):
    """One line. ``at`` in seconds, or in the log's own steps where it has no times of the clock."""

    line: int
    user: str
    item: str
    rating: float | None
    at: float | None
    kind: str | None


class Numbers:
    """Numbers for ids: ids that are numbers below ``limit`` themselves, all others one each from ``first`` on."""

    def __init__(self, limit: int, first: int) -> None:
        self._limit, self._first = limit, first
        self._given: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The same for the same ``text``."""
        if text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and int(text) < self._limit:
            return int(text)
        return self._given.setdefault(text, self._first + len(self._given))


def read(path: Path, most: int | None = None) -> Iterator[Row]:
    """The first ``most`` lines of a file. Raises ``OSError``, and ``ValueError`` for what is no such log, with the
    line."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    opening = gzip.open if packed else open
    try:
        with opening(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            yield from rows(islice(text, most), str(path))
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: it is cut off, or is not what gzip made ({error})") from error


def rows(lines: Iterable[str], name: str = "the log") -> Iterator[Row]:
    """The rows of a log; ``name`` is what errors call it. Raises ``ValueError``, as ``read``."""
    found = _fields(lines)
    sample = list(islice(found, _SAMPLE))
    if not sample:
        raise ValueError(f"{name}: there is no line in it; each has to read {FORM}")
    columns, headed = _columns(sample, name)
    width = len(sample[0][1])
    in_time = [fields[columns["time"]] for _, fields in sample[headed:] if "time" in columns and len(fields) == width]
    divisor = _divisor(in_time)
    for number, fields in chain(sample[headed:], found):
        where = f"{name}, line {number}"
        if len(fields) != width:
            raise ValueError(f"{where}: it has {len(fields)} columns where the first line has {width}")
        user, item = fields[columns["user"]], fields[columns["item"]]
        if not user or not item:
            raise ValueError(f"{where}: the user or the item is missing; it has to read {FORM}")
        rating = at = None
        if "rating" in columns and (rating := _number(fields[columns["rating"]])) is None:
            raise ValueError(f"{where}: the rating {fields[columns['rating']]!r} is no number")
        if "time" in columns:
            if (at := _time(fields[columns["time"]])) is None:
                raise ValueError(f"{where}: the time {fields[columns['time']]!r} is neither a number nor a date")
            at /= divisor
        yield Row(number, user, item, rating, at, fields[columns["kind"]] if "kind" in columns else None)


def _fields(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that holds any, parted as the first one is."""
    whole = ((number, line.strip("\r\n")) for number, line in enumerate(lines, 1))
    numbered = ((number, line) for number, line in whole if line.strip() and line.lstrip()[0] not in "#%")
    first = next(numbered, None)
    if first is None:
        return
    delimiter = next((one for one in _DELIMITERS if one in first[1].strip()), None)
    for number, line in chain([first], numbered):
        if delimiter is None:
            yield number, line.split()
        elif '"' not in line:
            yield number, [field.strip() for field in line.split(delimiter)]
        else:
            yield number, [field.strip() for field in next(csv.reader([line], delimiter=delimiter[0]))]


def _columns(sample: Sequence[tuple[int, list[str]]], name: str) -> tuple[dict[str, int], bool]:
    """Where each kind of column stands, and whether the first line is a header."""
    number, first = sample[0]
    named: dict[str, int] = {}
    for place, field in enumerate(first):
        word = re.sub(r"[^a-z]", "", field.lower().split(":")[0])
        if word in _NAMES:
            named.setdefault(_NAMES[word], place)
    if {"user", "item"} <= named.keys():
        return named, True
    if not 2 <= len(first) <= 4:
        what = f"it has {len(first)} columns, and no header that names the user's and the item's"
        raise ValueError(f"{name}, line {number}: {what}; it has to read {FORM}")
    rest = [fields for _, fields in sample[1:] if len(fields) == len(first)]
    headed = any(
        _time(field) is None and rest and _time(rest[0][n]) is not None for n, field in enumerate(first[2:], 2)
    )
    values = rest if headed else [first, *rest]
    return {"user": 0, "item": 1} | _further([[row[n] for row in values] for n in range(2, len(first))]), headed


def _further(columns: Sequence[Sequence[str]]) -> dict[str, int]:
    """Where rating, time and kind stand, of the columns after the first two."""
    words = [n for n, values in enumerate(columns) if values and _time(values[0]) is None]
    numbers = [n for n in range(len(columns)) if n not in words]
    times = [n for n in numbers if all(_is_clock(value) for value in columns[n])]
    if not times and len(numbers) == 2:
        times = [1]
    if not times and len(numbers) == 1:
        (only,) = numbers
        if words or any((_number(value) or 0) > _HIGHEST_RATING for value in columns[only]):
            times = [only]
    found = {"kind": 2 + words[0]} if words else {}
    if times:
        found["time"] = 2 + times[0]
    ratings = [n for n in numbers if n not in times[:1]]
    return found | ({"rating": 2 + ratings[0]} if ratings else {})


def _divisor(times: Sequence[str]) -> float:
    """What makes seconds of the numbers that stand for times."""
    highest = max((_number(text) or 0 for text in times), default=0)
    return 1e6 if highest >= _US else 1e3 if highest >= _MS else 1.0


def _is_clock(text: str) -> bool:
    number = _number(text)
    return _time(text) is not None if number is None else number >= _EARLIEST


def _time(text: str) -> float | None:
    number = _number(text)
    if number is None:
        with suppress(ValueError):
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return number


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
