"""What a source believes its sinks hold, partition by partition, and how that moves. No I/O: the simulation runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from schemas.codec import Undecodable, decode_record
from streams.records import Record, Span, TopicPartition

_NO_ENDS: Mapping[TopicPartition, int] = {}


class RawRecord(NamedTuple):
    """One record as the log holds it. ``timestamp`` is the broker's, in ms."""

    tp: TopicPartition
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Poison(NamedTuple):
    """A record that cannot be decoded, why, and how many good ones of its batch stand before it."""

    after: int
    record: RawRecord
    why: str


@dataclass(frozen=True)
class RawBatch:
    """A micro-batch as fetched. It counts only while the source is in the same ``epoch``."""

    epoch: int
    records: Sequence[RawRecord]
    spans: Mapping[TopicPartition, Span]

    @cached_property
    def decoded(self) -> tuple[list[Record], list[Poison]]:
        """Its events, and what cannot be decoded, each in the order of the batch. Whoever asks first decodes them."""
        records: list[Record] = []
        poison: list[Poison] = []
        for raw in self.records:
            tp, offset, timestamp, key, value, _ = raw
            try:
                event = decode_record(tp.topic, key, value)
            except Undecodable as error:
                poison.append(Poison(len(records), raw, str(error)))
            else:
                records.append(Record(tp, offset, timestamp, event))
        return records, poison


class Positions:
    """The last offset handed out of each assigned partition.

    Every assignment, revocation and rewind begins a new epoch: batches of earlier epochs are void, since what comes
    next no longer follows on them. Within one epoch no offset is skipped and none is handed out twice.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._last: dict[TopicPartition, int] = {}

    @property
    def last(self) -> Mapping[TopicPartition, int]:
        """The last offset handed out of each assigned partition."""
        return self._last

    def assign(self, fences: Mapping[TopicPartition, int]) -> None:
        """From now on these partitions, each from the offset after its fence."""
        self._last = dict(fences)
        self.epoch += 1

    def rewind(self, fences: Mapping[TopicPartition, int]) -> None:
        """Go back (or on) to ``fences``, of the partitions that are still assigned."""
        self._last.update({tp: offset for tp, offset in fences.items() if tp in self._last})
        self.epoch += 1

    def advance(self, records: Sequence[RawRecord], ends: Mapping[TopicPartition, int] = _NO_ENDS) -> RawBatch:
        """The next batch. Records of partitions that are not assigned, or that were handed out already, are left out.

        ``ends``: partitions of which everything up to an offset was read. Past the last record that is the marker of a
        transaction, or what was compacted away: the fences step over it, so that a view can reach the log's end.
        Records fetched before a rewind must not come here: they would skip what lies between (the source drops them).
        """
        taken: list[RawRecord] = []
        prior: dict[TopicPartition, int] = {}
        for record in records:
            last = self._last.get(record.tp)
            if last is None or record.offset <= last:
                continue
            prior.setdefault(record.tp, last)
            self._last[record.tp] = record.offset
            taken.append(record)
        for tp, end in ends.items():
            last = self._last.get(tp)
            if last is not None and end > last:
                prior.setdefault(tp, last)
                self._last[tp] = end
        spans = {tp: Span(before, self._last[tp]) for tp, before in prior.items()}
        return RawBatch(self.epoch, taken, spans)

    def idle(self) -> RawBatch:
        """An empty batch over all partitions, which makes the sinks check their fences."""
        return RawBatch(self.epoch, (), {tp: Span(last, last) for tp, last in self._last.items()})
