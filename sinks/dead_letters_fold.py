"""Dead letters, folded from the records of the DLQ topics. No I/O: ``sinks.dead_letters_reader`` reads them.

A letter is one record of the log that somebody could not take: one for each (topic, partition, offset) that nobody
can decode, and one for each (topic, partition, offset, view) that one view refused. Several groups bury the same
record, and each may again after a rewind: their records are tries of one letter. What became of a letter is a record of
the same topic (``sinks.dead_letters_resolving``), so that nothing here is ever changed; or it follows from the view's
generations, where the view was built anew without refusing it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from sinks.generations import FIRST, Generation, Generations
from streams.records import TopicPartition

logger = logging.getLogger(__name__)

How = Literal["redriven", "purged", "replayed"]
RECORDED: tuple[How, ...] = ("redriven", "purged")
"""How a letter is resolved by a record of the DLQ; ``replayed`` follows from generations instead."""


class LetterId(NamedTuple):
    """Which record of the log, and which view refused it: "" where nobody can decode it."""

    tp: TopicPartition
    offset: int
    view: str

    def __str__(self) -> str:
        return f"{self.tp}@{self.offset}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of a letter. ``at`` in ms since 1970; ``by`` says where the repaired event stands
    (``topic-partition@offset``) or which generation took it (``generation N``), and is empty for what was purged."""

    how: How
    at: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter, of all records that tell of it. Times in ms since 1970; error and stack are those of its last try."""

    id: LetterId
    error: str
    stack: str
    first_seen: int
    last_seen: int
    tries: int
    key: bytes | None
    value: bytes | None
    key_size: int
    """Bytes of the key in the log; -1 for none."""
    value_size: int
    """Bytes of the value in the log, more than ``value`` where only its start was kept; -1 for none."""
    resolution: Resolution | None = None

    @property
    def kind(self) -> Literal["undecodable", "refused"]:
        """Which of the two kinds of poison."""
        return "refused" if self.id.view else "undecodable"

    @property
    def is_whole(self) -> bool:
        """Whether key and value are kept to their end."""
        return self.key_size == _size(self.key) and self.value_size == _size(self.value)


class DeadRecord(NamedTuple):
    """One record of a DLQ topic. ``tp`` is its own place, with the topic's ``.dlq``."""

    tp: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class Resolved(NamedTuple):
    """A record that resolves a letter, as it stands in the DLQ."""

    letter: LetterId
    resolution: Resolution


@dataclass
class _Tries:
    """What is known of one letter while the topic is read."""

    letter: Letter
    refusals: list[tuple[int | None, int]] = field(default_factory=list)
    """(generation that refused it, if the record says so; when)."""


@dataclass(frozen=True)
class Place:
    """What one record of a DLQ partition is: a try of ``letter``, or the resolution of one, or neither (foreign)."""

    tp: TopicPartition
    offset: int
    letter: LetterId | None
    resolved: Resolved | None = None


@dataclass(frozen=True)
class DeadLetterBook:
    """All letters of the topics that were read, in the log's order, and every record that tells of them."""

    letters: Mapping[LetterId, Letter]
    places: tuple[Place, ...]

    @property
    def foreign(self) -> int:
        """Records that stand in a DLQ and are no dead letters."""
        return sum(place.letter is None and place.resolved is None for place in self.places)

    def unresolved(self) -> list[Letter]:
        """The letters that still wait for somebody."""
        return [letter for letter in self.letters.values() if letter.resolution is None]

    def refusals(self, view: str) -> list[Letter]:
        """The unresolved letters that ``view`` refused: any of them taints it."""
        return [letter for letter in self.unresolved() if letter.id.view == view]


def fold(records: Iterable[DeadRecord], generations: Mapping[str, Generations]) -> DeadLetterBook:
    """The letters that ``records`` tell of, whatever their order: a letter that was resolved stays so, also when it is
    met and buried once more."""
    tries: dict[LetterId, _Tries] = {}
    resolutions: dict[LetterId, Resolution] = {}
    places: list[Place] = []
    stacks: dict[str, str] = {}
    for record in records:
        try:
            resolved = resolved_by(record)
            if resolved is not None:
                first = resolutions.get(resolved.letter)
                if first is None or resolved.resolution.at < first.at:
                    resolutions[resolved.letter] = resolved.resolution
                places.append(Place(record.tp, record.offset, None, resolved))
                continue
            letter, generation = _letter(record, stacks)
        except (KeyError, ValueError) as error:
            logger.warning("%s@%d is no dead letter: %r", record.tp, record.offset, error)
            places.append(Place(record.tp, record.offset, None))
            continue
        places.append(Place(record.tp, record.offset, letter.id))
        known = tries.setdefault(letter.id, _Tries(letter))
        if known.letter is not letter:
            known.letter = _joined(known.letter, letter)
        known.refusals.append((generation, letter.last_seen))
    live = {view: _live(generations.get(view), view) for view in {one.view for one in tries if one.view}}
    refused = _refused_by_live(tries, live)
    letters: dict[LetterId, Letter] = {}
    for name in sorted(tries):
        resolution = resolutions.get(name)
        if resolution is None and name.view:
            resolution = _taken(name, live[name.view], refused)
        letters[name] = replace(tries[name].letter, resolution=resolution)
    return DeadLetterBook(letters, tuple(places))


def _live(generations: Generations | None, view: str) -> Generation:
    known = generations or Generations(view=view)
    return known.of(known.live)


def _refused_by_live(tries: Mapping[LetterId, _Tries], live: Mapping[str, Generation]) -> set[LetterId]:
    """The letters of which it is known that the view's live generation refused them too.

    A record may say which generation met it; else it was the live one if that was live by then.
    """
    return {
        name
        for name, one in tries.items()
        if name.view
        and any(
            seen >= live[name.view].since if number is None else number == live[name.view].number
            for number, seen in one.refusals
        )
    }


def _taken(letter: LetterId, live: Generation, refused: Collection[LetterId]) -> Resolution | None:
    """How a replay made the refusal good, if it did: the live generation was built over the record, and took it.

    A generation that counted more refusals than are known by name may have refused this one: then it still taints.
    """
    covered = live.built_to.get(str(letter.tp), -1) >= letter.offset
    if live.number == FIRST or not covered or letter in refused:
        return None
    by_name = sum(one.view == letter.view and one.offset <= live.built_to.get(str(one.tp), -1) for one in refused)
    if live.refused > by_name:
        return None
    return Resolution("replayed", live.since, f"generation {live.number}")


def _letter(record: DeadRecord, stacks: dict[str, str]) -> tuple[Letter, int | None]:
    """One try of a letter. Raises KeyError and ValueError for a record that is none."""
    headers = record.headers
    stack = _text(headers, "stack")
    generation = int(headers["generation"]) if "generation" in headers else None
    letter = Letter(
        id=_letter_id(headers),
        error=_text(headers, "error"),
        stack=stacks.setdefault(stack, stack),  # the same bug gives the same stack, a thousand times
        first_seen=int(headers["first_seen"]),
        last_seen=int(headers["last_seen"]),
        tries=int(headers["tries"]),
        key=record.key,
        value=record.value,
        key_size=int(headers.get("key_bytes") or _size(record.key)),
        value_size=int(headers.get("value_bytes") or _size(record.value)),
    )
    return letter, generation


def resolved_by(record: DeadRecord) -> Resolved | None:
    """What ``record`` resolves, or None where it is no resolution. Raises KeyError and ValueError for a broken one."""
    headers = record.headers
    if "resolution" not in headers:
        return None
    how = _text(headers, "resolution")
    for known in RECORDED:
        if how == known:
            return Resolved(_letter_id(headers), Resolution(known, int(headers["at"]), _text(headers, "by")))
    raise ValueError(f"a letter cannot be {how!r}")


def _letter_id(headers: Mapping[str, bytes]) -> LetterId:
    tp = TopicPartition(_text(headers, "topic"), int(headers["partition"]))
    return LetterId(tp, int(headers["offset"]), _text(headers, "view"))


def _joined(one: Letter, other: Letter) -> Letter:
    last = other if other.last_seen >= one.last_seen else one
    return replace(
        one,
        error=last.error,
        stack=last.stack,
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=last.last_seen,
        tries=one.tries + other.tries,
    )


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return headers[name].decode(errors="replace")


def _size(raw: bytes | None) -> int:
    return -1 if raw is None else len(raw)
