"""What an emitter emits, tied to the record that caused it, so that a retry says the same thing again.

An emitted event carries the record it came from (``source``), and its id and time are functions of that record:
no clock and no randomness, so that a redelivery emits equal events.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from schemas.events import Source
from schemas.ids import snowflake
from streams.records import Record
from streams.views import Mark


class Cause(NamedTuple):
    """The record that makes an emitter speak. ``at`` is the broker's timestamp of it in ms: never in the future, and
    the same at every redelivery; ``trace_id`` goes on into what is emitted."""

    mark: Mark
    at: int
    trace_id: str

    @classmethod
    def of(cls, record: Record) -> Cause:
        """The cause that ``record`` is."""
        return cls(Mark(record.tp, record.offset), record.timestamp, record.event.trace_id)

    def source(self, n: int) -> Source:
        """The ``source`` of the ``n``-th event that this record caused."""
        return Source(topic=self.mark.tp.topic, partition=self.mark.tp.partition, offset=self.mark.offset, n=n)

    def event_id(self, n: int, subject: int) -> int:
        """The id of the ``n``-th event that this record caused, which is about the entity ``subject``.

        It has a Snowflake's form: the cause's time, then, in place of gateway and sequence, 22 bits of a hash of
        (topic, partition, offset, n, subject). Within one millisecond two ids can therefore meet, once in 4 million
        pairs: what identifies an emitted event is its ``source`` and its subject, and readers rely on those alone.
        """
        (topic, partition), offset = self.mark
        digest = blake2b(f"{topic}-{partition}-{offset}-{n}-{subject}".encode(), digest_size=4).digest()
        low = int.from_bytes(digest, "big")
        return snowflake(self.at, low >> 12, low)
