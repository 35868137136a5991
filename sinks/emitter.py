"""Emitters: sinks whose effect is events in Kafka, and whose fence is their consumer group's committed offset.

The order is always the same: emit, wait until the broker has acknowledged all of it, then commit. A crash in between
emits the same events again, equal to the byte (``streams.causes``); their readers take twice as once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.events import Event
from sinks.errors import FenceBehind, StoreAway
from sinks.settings import Settings
from streams.records import Spans, TopicPartition
from streams.views import Mark


class Marked(Protocol):
    """A write that knows the record it comes from."""

    @property
    def mark(self) -> Mark:
        """Where in the log it comes from."""


class Emits(Protocol):
    """The part of ``sinks.producer.Producer`` that emitters use."""

    async def produce_many(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        """Emit ``events`` in order; returns after the broker's acknowledgements. Raises ``StoreAway``."""


class Commits(Protocol):
    """The committed offsets of one consumer group. Offsets here are those of the last record applied, -1 for none:
    one less than what Kafka stores."""

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last offset committed for each of ``partitions``. Raises ``StoreAway``."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit ``offsets``; returns once the broker has them.

        Raises ``StoreAway``; also when the group no longer counts this member as the owner of the partitions. Its call
        is then dropped together with the partitions, or fails again until they are.
        """


class ConsumerCommits:
    """``Commits`` of the group that ``consumer`` is a member of, through that member: a group with active members takes
    commits from no one else. The consumer stays its owner's, who also closes it.

    ``run`` calls a function where the consumer can be used, and gives its answer. Where another thread polls the
    consumer without pause that has to be the polling thread itself: confluent-kafka lets one thread at a time into a
    consumer, and not in the order of asking.
    """

    def __init__(
        self,
        consumer: Consumer,
        settings: Settings,
        timeout_seconds: float = 10.0,
        run: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        self._run = run
        self._consumer = consumer
        self._prefix = settings.topic_prefix
        self._timeout_seconds = timeout_seconds

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last offset committed for each of ``partitions``."""
        if not partitions:
            return {}
        asked = [KafkaPartition(self._prefix + tp.topic, tp.partition) for tp in partitions]
        found = await self._run(lambda: self._committed(asked))
        # Kafka gives the next offset to read, or a negative one for none.
        return {tp: max(one.offset, 0) - 1 for tp, one in zip(partitions, found, strict=True)}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit ``offsets`` and wait for the broker."""
        if offsets:
            wanted = [KafkaPartition(self._prefix + tp.topic, tp.partition, last + 1) for tp, last in offsets.items()]
            await self._run(lambda: self._commit(wanted))

    def _committed(self, asked: list[KafkaPartition]) -> list[KafkaPartition]:
        try:
            found = self._consumer.committed(asked, timeout=self._timeout_seconds)
        except (KafkaException, RuntimeError) as error:  # RuntimeError: the consumer was closed meanwhile
            raise StoreAway(f"Kafka did not give the committed offsets: {error}") from error
        return _checked(found)

    def _commit(self, wanted: list[KafkaPartition]) -> None:
        try:
            _checked(self._consumer.commit(offsets=wanted, asynchronous=False) or [])
        except (KafkaException, RuntimeError) as error:
            raise StoreAway(f"Kafka did not take the commit: {error}") from error


def _checked(partitions: list[KafkaPartition]) -> list[KafkaPartition]:
    for one in partitions:
        if one.error is not None:
            raise StoreAway(f"{one.topic}-{one.partition}: {one.error}")
    return partitions


class MemoryCommits:
    """``Commits`` held in memory, for tests and simulations."""

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, int] = {}

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last offset committed for each of ``partitions``."""
        return {tp: self.offsets.get(tp, -1) for tp in partitions}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Remember ``offsets``."""
        self.offsets.update(offsets)


Write = TypeVar("Write", bound=Marked)


class EmitterSink(ABC, Generic[Write]):
    """A ``Sink`` that emits. What its writes cause is in the log, at least once, for all up to the committed offset."""

    def __init__(self, producer: Emits, commits: Commits) -> None:
        self._producer = producer
        self._commits = commits

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The committed offset of each of ``partitions``; -1 where nothing is committed. Raises ``StoreAway``."""
        return await self._commits.committed(partitions)

    async def apply(self, writes: Sequence[Write], spans: Spans) -> None:
        """Emit what ``writes`` cause, wait for the acknowledgements, then commit ``spans``.

        Writes at or below the committed offset are skipped. Raises ``FenceBehind`` where a commit went back (an
        operator reset the group: everything from there is emitted again), and ``StoreAway``, after which the same call
        can be made again.
        """
        fences = await self.fences(spans.keys())
        if any(fences[tp] < span.prior for tp, span in spans.items()):
            raise FenceBehind(fences)
        await self.emit([write for write in writes if write.mark.offset > fences[write.mark.tp]])
        moved = {tp: span.last for tp, span in spans.items() if span.last > fences[tp]}
        if moved:
            await self._commits.commit(moved)

    @abstractmethod
    async def emit(self, writes: Sequence[Write]) -> None:
        """Emit all that ``writes`` cause, in offset order within each source partition.

        Returns only after the broker has acknowledged all of it. Raises ``StoreAway``.
        """
