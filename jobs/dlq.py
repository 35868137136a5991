"""``shutterlog dlq``: which letters are meant, and what is said of each. No I/O but reading the DLQs.

JSON, one object a line; programs read it, so it stays as it is. What `list` says of a letter:

    {"topic": "graph", "partition": 3, "offset": 17,   the record in the log
     "view": "follows",                                who refused it; null where nobody can decode it
     "kind": "refused",                                or "undecodable"
     "error": "person 1 cannot follow themselves", "tries": 2,
     "first_seen": 1700000000000, "last_seen": 1700000000000,       ms since 1970
     "key_size": 19, "value_size": 70,                 bytes in the log; -1 where the record has none
     "resolved": null}                                 or {"how": "redriven" | "purged" | "replayed", "at": ms,
                                                       "by": "graph-3@99", "generation 2" or ""}

`show` adds:

    {"stack": "Traceback ...", "key": base64 or null, "value": base64 or null,     as far as the DLQ keeps them
     "type": "Followed", "event": {...}}               where the value decodes (schemas.readable), else null and null
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.emitters import EMITTERS, PUSHERS
from schemas.codec import Undecodable, decode
from schemas.events import TOPICS
from schemas.readable import fields_of
from sinks.dead_letters_fold import DeadLetterBook, Letter
from sinks.dead_letters_reader import DeadLetterLog
from sinks.generations import GenerationLog
from sinks.settings import Settings
from streams.records import TopicPartition

_ADDRESS = re.compile(r"([a-z_]+)-(\d{1,9})@(\d{1,18})")
_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DUMPED = 256
"""Bytes of a hex dump."""


class BadRequest(ValueError):
    """What was asked for cannot be understood, or cannot be done. The message says what to do."""


class Address(NamedTuple):
    """A record of the log: ``topic-partition@offset``."""

    tp: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.tp}@{self.offset}"


@dataclass(frozen=True)
class Filters:
    """Which letters are meant: those that every filter takes. Times in ms since 1970."""

    addresses: frozenset[Address] = field(default_factory=frozenset)
    topic: str | None = None
    view: str | None = None
    kind: str | None = None
    error: str | None = None
    """A part of the error, in any case."""
    since: int | None = None
    """Seen then or later."""
    until: int | None = None
    """Seen before or then."""

    def __post_init__(self) -> None:
        if self.topic is not None:
            _check_topic(self.topic)
        if self.kind not in (None, "undecodable", "refused"):
            raise BadRequest(f"a letter is undecodable or refused, and never {self.kind!r}")

    @property
    def are_none(self) -> bool:
        """Whether they take every letter."""
        return self == Filters()

    @property
    def topics(self) -> Collection[str]:
        """The topics in which such letters can be."""
        if self.topic is not None:
            return (self.topic,)
        return {one.tp.topic for one in self.addresses} or TOPICS

    def takes(self, letter: Letter) -> bool:
        """Whether ``letter`` is meant."""
        return (
            (not self.addresses or Address(letter.id.tp, letter.id.offset) in self.addresses)
            and self.topic in (None, letter.id.tp.topic)
            and self.view in (None, letter.id.view)
            and self.kind in (None, letter.kind)
            and (self.error is None or self.error.lower() in letter.error.lower())
            and (self.since is None or letter.last_seen >= self.since)
            and (self.until is None or letter.first_seen <= self.until)
        )


def address_of(text: str) -> Address:
    """The address in ``text``; raises ``BadRequest``."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise BadRequest(f"{text!r} is no letter: one is named TOPIC-PARTITION@OFFSET, such as graph-3@17")
    _check_topic(found[1])
    return Address(TopicPartition(found[1], int(found[2])), int(found[3]))


def _check_topic(topic: str) -> None:
    if topic not in TOPICS:
        raise BadRequest(f"there is no topic {topic!r}; there are {', '.join(TOPICS)}")


def time_of(text: str, now: datetime) -> int:
    """The time in ms that ``text`` means: ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 3d.

    Raises ``BadRequest``.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            when = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            when = datetime.fromisoformat(text)
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{text!r} is no time: give 2026-11-21T07:30, or an age such as 90m, 2h or 3d") from error
    return int(when.timestamp() * 1000)


def read(settings: Settings, topics: Collection[str] = TOPICS, *, quiet: bool = False) -> DeadLetterBook:
    """The letters of ``topics``, as they are now. Raises ``StoreAway`` and ``TopicMissing``."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )
    with progress:
        task = progress.add_task("reading the DLQs", total=None)
        generations = GenerationLog(settings).read()

        def moved(done: int, of: int) -> None:
            progress.update(task, completed=done, total=max(done, of))

        return DeadLetterLog(settings).read(generations, topics, moved=None if quiet else moved)


def what_helps(letter: Letter) -> str:
    """What to do about a letter that a view refused; appending its event once more would not help."""
    view = letter.id.view
    if view in EMITTERS or view in PUSHERS:
        return (
            f"the event is good, and {view} refused it: fix the code, set the offset of the consumer group {view} back "
            "to it while its agents are stopped, and purge the letter"
        )
    return (
        f"the event is good, and the other views have it: fix the code of {view}, then run `shutterlog replay {view}`"
    )


# -- what is said of a letter -----------------------------------------------------------------------------------------


def to_json(letter: Letter) -> dict[str, Any]:
    """What `dlq list --json` says of a letter."""
    resolution = letter.resolution
    return {
        **name_of(letter),
        "kind": letter.kind,
        "error": letter.error,
        "tries": letter.tries,
        "first_seen": letter.first_seen,
        "last_seen": letter.last_seen,
        "key_size": letter.key_size,
        "value_size": letter.value_size,
        "resolved": {"how": resolution.how, "at": resolution.at, "by": resolution.by} if resolution else None,
    }


def name_of(letter: Letter) -> dict[str, Any]:
    """The fields that name a letter."""
    tp, offset, view = letter.id
    return {"topic": tp.topic, "partition": tp.partition, "offset": offset, "view": view or None}


def to_json_in_full(letter: Letter) -> dict[str, Any]:
    """What `dlq show --json` says of a letter. Sealed fields of its event stay sealed."""
    try:
        event = decode(letter.value) if letter.is_whole else None
    except Undecodable:
        event = None
    return {
        **to_json(letter),
        "stack": letter.stack,
        "key": _base64(letter.key),
        "value": _base64(letter.value),
        "type": type(event).__name__ if event else None,
        "event": fields_of(event) if event else None,
    }


def lines(letter: Letter) -> Iterator[str]:
    """What `dlq show` says of a letter to people."""
    full = to_json_in_full(letter)
    yield f"{letter.id}  {letter.kind}{f' by {letter.id.view}' if letter.id.view else ''}"
    yield f"  error       {plain(letter.error)}"
    yield f"  tries       {letter.tries}, from {clock(letter.first_seen)} to {clock(letter.last_seen)}"
    yield f"  resolved    {resolved_text(letter) or 'no'}"
    for name, raw, size in (("key", letter.key, letter.key_size), ("value", letter.value, letter.value_size)):
        kept = "" if raw is None or len(raw) == size else f", of which the DLQ keeps {len(raw):,}"
        yield f"  {name:<11} {'none' if raw is None else f'{size:,} bytes{kept}'}"
        if raw:
            yield from (f"    {line}" for line in hex_dump(raw[:_DUMPED]))
            if len(raw) <= _DUMPED:
                yield f"    base64 {full[name]}"
            else:
                yield f"    ... the first {_DUMPED} bytes; --json prints all of it"
    if full["event"] is not None:
        yield f"  event       {full['type']}"
        yield from (f"    {name:<14} {value}" for name, value in full["event"].items())
    if letter.stack:
        yield "  stack"
        yield from (f"    {plain(line)}" for line in letter.stack.splitlines())


def hex_dump(raw: bytes) -> Iterator[str]:
    """Lines of 16 bytes: offset, hexadecimal, and what is printable."""
    for start in range(0, len(raw), 16):
        part = raw[start : start + 16]
        printable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"{start:06x}  {part.hex(' '):<47}  {printable}"


def resolved_text(letter: Letter) -> str:
    """How a letter was resolved; empty for one that was not."""
    resolution = letter.resolution
    return f"{resolution.how}{f' as {resolution.by}' if resolution.by else ''}" if resolution else ""


def clock(ms: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def plain(text: str) -> str:
    """``text`` in one line, without anything that a terminal would obey."""
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()
