"""How the records of one partition come to stand at the offsets that they had. Pure.

A log has offsets without records: markers of transactions, aborted records, records that were deleted. Everything that
names an offset (causes in emitted events, dead letters, consistency tokens, commits, the ids of emitted events) stays
right only if the restored log has the same gaps. A marker alone takes one offset; an aborted transaction of n records
takes n + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jobs.backup_segments import Kept


class Torn(ValueError):
    """The offsets of a partition cannot be had any more: an earlier restore was killed at the wrong moment."""


class Put(NamedTuple):
    """Write the record."""

    record: Kept


class Sealed(NamedTuple):
    """Write the record as a transaction of its own, whose marker takes the offset after it."""

    record: Kept


class Skipped(NamedTuple):
    """Take up so many offsets, at least two, that no reader sees: an aborted transaction."""

    offsets: int


class Padded(NamedTuple):
    """Take up so many offsets with records that are deleted afterwards, since they lie below the log's start."""

    offsets: int


Step = Put | Sealed | Skipped | Padded


def plan(records: Iterable[Kept], at: int, start: int, end: int) -> Iterator[Step]:
    """What to do, from the offset ``at`` on, so that ``records`` stand at their offsets and the log ends at ``end``.

    ``records`` begin at or after ``at``, in order; ``start`` is where the log begins. Raises ``Torn``.
    """
    prior: Kept | None = None
    for record in _ended(records, end):
        gap = record.offset - at
        if gap < 0:
            raise Torn(f"offset {record.offset} comes after {at - 1}")
        if gap == 1 and prior is not None:
            yield Sealed(prior)
            prior, gap = None, 0
        elif prior is not None:
            yield Put(prior)
            prior = None
        padded = min(max(start - at, 0), gap)
        if padded:
            yield Padded(padded)
        if gap - padded == 1:
            raise Torn(f"nothing can take up the one offset {record.offset - 1}")
        if gap - padded:
            yield Skipped(gap - padded)
        at, prior = record.offset + 1, record
    # The last one is no record, but the end.


def _ended(records: Iterable[Kept], end: int) -> Iterator[Kept]:
    yield from records
    yield Kept(end, 0, None, None)
