"""``shutterlog dlq redrive`` and ``purge``: what is done with letters, and what is left, with the reason.

The answer, with ``--json``, is one object a letter; programs read it, so it stays as it is:

    {"topic", "partition", "offset", "view",
     "outcome": "redriven" | "purged" | "left", with --dry-run "would_redrive" | "would_purge",
     "by": "graph-3@99" or null,                       where the repaired event stands
     "why": null}                                      or why it was left
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.dlq import Filters, name_of, read, what_helps
from jobs.dlq_lines import Line, parsed, refuse, repairs_of
from schemas.codec import Undecodable, decode_record
from sinks.dead_letters_fold import RECORDED, DeadLetterBook, Letter, LetterId, Resolution
from sinks.dead_letters_resolving import Repair, Resolver, deletable
from sinks.registry import adopt_ids
from sinks.settings import Settings
from streams.records import TopicPartition

_AT_ONCE = 5_000
"""Letters of a transaction, where each stands for itself."""


@dataclass(frozen=True)
class Outcome:
    """What was done with one letter."""

    letter: Letter
    what: str
    by: str | None = None
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints of it."""
        return {**name_of(self.letter), "outcome": self.what, "by": self.by, "why": self.why}

    def line(self) -> str:
        """The same for people."""
        view = f" ({self.letter.id.view})" if self.letter.id.view else ""
        by = f" as {self.by}" if self.by else ""
        return f"{self.letter.id}{view}: {self.what.replace('_', ' ')}{by}{f': {self.why}' if self.why else ''}"


# -- redrive ----------------------------------------------------------------------------------------------------------


def redrive(settings: Settings, filters: Filters, *, dry_run: bool = False, quiet: bool = False) -> list[Outcome]:
    """Append what nobody could decode and this build can; the rest is left. Raises ``StoreAway``, ``Overtaken``."""
    asyncio.run(adopt_ids(settings))
    if dry_run:
        return _attempt(_selected(read(settings, filters.topics, quiet=quiet), filters), None)
    with Resolver(settings) as resolver:
        return _attempt(_selected(read(settings, filters.topics, quiet=quiet), filters), resolver)


def redrive_from(
    settings: Settings, given: Iterable[str], *, dry_run: bool = False, quiet: bool = False
) -> list[Outcome]:
    """Append the repaired events that the JSON lines ``given`` say, all or none of them.

    Raises ``BadRequest``, naming each line that is wrong, before anything is written; ``StoreAway``, ``Overtaken``.
    """
    asyncio.run(adopt_ids(settings))
    read_lines = parsed(given)
    if dry_run:
        repairs = repairs_of(read_lines, read(settings, quiet=quiet))
        return [Outcome(one.letter, "would_redrive") for one in repairs]
    with Resolver(settings) as resolver:
        return _redriven(resolver, repairs_of(read_lines, read(settings, quiet=quiet)))


def _selected(book: DeadLetterBook, filters: Filters) -> list[Letter]:
    return [letter for letter in book.unresolved() if filters.takes(letter)]


def _attempt(letters: Sequence[Letter], resolver: Resolver | None) -> list[Outcome]:
    """Redrive what can be; only say so without a ``resolver``."""
    outcomes: list[Outcome] = []
    repairs: list[Repair] = []
    for letter in letters:
        found = _as_it_is(letter)
        if isinstance(found, Repair):
            repairs.append(found)
        else:
            outcomes.append(Outcome(letter, "left", why=found))
    if resolver is None:
        return [*(Outcome(one.letter, "would_redrive") for one in repairs), *outcomes]
    done: list[Outcome] = []
    for start in range(0, len(repairs), _AT_ONCE):
        done += _redriven(resolver, repairs[start : start + _AT_ONCE])
    return done + outcomes


def _redriven(resolver: Resolver, repairs: Sequence[Repair]) -> list[Outcome]:
    written = resolver.redrive(repairs) if repairs else []
    return [
        Outcome(one.letter, "redriven", f"{tp}@{offset}") for one, (tp, offset) in zip(repairs, written, strict=True)
    ]


def _as_it_is(letter: Letter) -> Repair | str:
    """The letter's own bytes as its repair, or why they are none."""
    if letter.id.view:
        return what_helps(letter)
    if not letter.is_whole:
        return f"{letter.value_size:,} bytes are no event, and the DLQ keeps their start only"
    try:
        event = decode_record(letter.id.tp.topic, letter.key, letter.value)
    except Undecodable as error:
        return f"this build cannot decode it either: {error}"
    return Repair(letter, event.key, letter.value or b"")


# -- purge ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purge:
    """What a purge did, or would do."""

    outcomes: list[Outcome]
    deleted: dict[TopicPartition, int]
    """Records deleted from the beginning of each DLQ partition."""


def to_purge(book: DeadLetterBook, filters: Filters | None, named: Sequence[Line] = ()) -> list[Letter]:
    """The letters that no record resolves yet, of those that ``filters`` take and that ``named`` names.

    Raises ``BadRequest`` where ``named`` names letters that do not exist.
    """
    wanted: dict[LetterId, Letter] = {}
    if filters is not None:
        wanted = {name: letter for name, letter in book.letters.items() if filters.takes(letter)}
    refuse([f"line {one.number}: there is no letter {one.letter}" for one in named if one.letter not in book.letters])
    wanted |= {one.letter: book.letters[one.letter] for one in named}
    return [one for one in wanted.values() if one.resolution is None or one.resolution.how not in RECORDED]


def purge(
    settings: Settings,
    filters: Filters | None,
    named: Sequence[Line] = (),
    *,
    delete: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> Purge:
    """Mark letters as purged; with ``delete``, delete what is resolved at the beginning of each DLQ partition.

    Raises ``BadRequest``, ``StoreAway``, ``Overtaken``.
    """
    if dry_run:
        book = read(settings, quiet=quiet)
        letters = to_purge(book, filters, named)
        prefixes = deletable(_with(book, letters)) if delete else {}
        return Purge(
            [Outcome(one, "would_purge") for one in letters], {tp: len(prefix) for tp, prefix in prefixes.items()}
        )
    with Resolver(settings) as resolver:
        book = read(settings, quiet=quiet)
        letters = to_purge(book, filters, named)
        for start in range(0, len(letters), _AT_ONCE):
            resolver.purge(letters[start : start + _AT_ONCE])
        prefixes = deletable(_with(book, letters)) if delete else {}
        if prefixes:
            resolver.delete(prefixes)
    return Purge([Outcome(one, "purged") for one in letters], {tp: len(prefix) for tp, prefix in prefixes.items()})


def _with(book: DeadLetterBook, purged: Sequence[Letter]) -> DeadLetterBook:
    """``book`` as it is once ``purged`` are."""
    resolved = {one.id: replace(one, resolution=Resolution("purged", 0)) for one in purged}
    return replace(book, letters={**book.letters, **resolved})
