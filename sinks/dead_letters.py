"""Where poison goes: ``<topic>.dlq``, as raw bytes, with what is known of it in the headers.

Several views may meet the same poison, and each may meet it again after a rewind. Each time it is written again, under
its own key and so in order: who reads a DLQ takes records of equal ``topic``, ``partition``, ``offset`` and ``view`` as
one that was tried several times, first seen in the first of them (``sinks.dead_letters_fold``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sinks.producer import Outgoing, Written
from sinks.topics import DLQ_SUFFIX
from streams.records import TopicPartition

VALUE_LIMIT = 1_500_000
"""Bytes kept of a value; all that a topic takes uncompressed. What was larger still stands in its own topic."""
KEY_LIMIT = 100_000
TEXT_LIMIT = 16_000


class Raw(Protocol):
    """A record as the log holds it."""

    @property
    def tp(self) -> TopicPartition:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def key(self) -> bytes | None:
        """Its key."""

    @property
    def value(self) -> bytes | None:
        """Its value."""


class Writes(Protocol):
    """The part of ``sinks.producer.Producer`` that dead letters use."""

    async def write(self, records: Sequence[Outgoing]) -> list[Written]:
        """Write ``records`` as they are; returns after the broker's acknowledgement."""


class DeadLetters:
    """The DLQ topics. ``clock_ms`` gives the time in ms since 1970."""

    def __init__(
        self,
        producer: Writes,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        generation: int | None = None,
    ) -> None:
        self._producer = producer
        self._clock_ms = clock_ms
        self._generation = generation

    def of(self, generation: int) -> DeadLetters:
        """The same, for a caller that writes this generation of its view: only that one is tainted by what it
        refuses."""
        return DeadLetters(self._producer, self._clock_ms, generation)

    async def put(self, record: Raw, error: str, stack: str, view: str | None) -> None:
        """Keep ``record``, durably, before returning. ``view`` is None where nobody can decode it.

        Raises ``StoreAway``.
        Headers, all UTF-8: topic, partition, offset, error, stack, first_seen, last_seen (ms), tries, view (empty for
        None), generation (where known), and value_bytes or key_bytes where only the start of a very large value or key
        is kept.
        """
        now = self._clock_ms()
        headers = {
            "topic": record.tp.topic,
            "partition": str(record.tp.partition),
            "offset": str(record.offset),
            "error": error[:TEXT_LIMIT],
            "stack": stack[-TEXT_LIMIT:],  # its end says most
            "first_seen": str(now),
            "last_seen": str(now),
            "tries": "1",
            "view": view or "",
        }
        if view is not None and self._generation is not None:
            headers["generation"] = str(self._generation)
        key, value = record.key, record.value
        if value is not None and len(value) > VALUE_LIMIT:
            headers["value_bytes"] = str(len(value))
            value = value[:VALUE_LIMIT]
        if key is not None and len(key) > KEY_LIMIT:
            headers["key_bytes"] = str(len(key))
            key = key[:KEY_LIMIT]
        encoded = {name: text.encode(errors="replace") for name, text in headers.items()}
        await self._producer.write([Outgoing(record.tp.topic + DLQ_SUFFIX, key, value, encoded)])
