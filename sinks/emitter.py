"""Emitters: sinks whose effect is events in Kafka, and whose fence is their consumer group's committed offset.

The order is always the same: emit, wait until the broker has acknowledged all of it, then commit. A crash in between
emits the same events again, equal to the byte (``streams.causes``); their readers take twice as once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException
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
    consumer, and not in the order of asking. ``holds`` says there whether a partition is (still) this member's, and
    ``moved`` hears there of every commit.
    """

    def __init__(
        self,
        consumer: Consumer,
        settings: Settings,
        timeout_seconds: float = 10.0,
        run: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
        holds: Callable[[TopicPartition], bool] = lambda tp: True,
        moved: Callable[[Mapping[TopicPartition, int]], None] = lambda offsets: None,
    ) -> None:
        """Each call ends within ``timeout_seconds``; one that came too late may still have its effect."""
        self._run = run
        self._consumer = consumer
        self._prefix = settings.topic_prefix
        self._timeout_seconds = timeout_seconds
        self._holds = holds
        self._moved = moved
        self._known: dict[TopicPartition, int] = {}

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last offset committed for each of ``partitions``."""
        found: dict[TopicPartition, int] = {}
        if partitions:
            found = await self._within(lambda: self._committed(list(partitions)))
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit ``offsets`` and wait for the broker. What is committed already, or further, stays as it is."""
        if offsets:
            await self._within(lambda: self._commit(offsets))

    async def membership(self, partitions: Collection[TopicPartition]) -> Any:
        """This member's place in its group, for a transaction that brings the commits of ``partitions`` itself: the
        broker refuses it once the group has gone on. Raises ``StoreAway`` where one of them is not this member's."""

        def ask() -> Any:
            self._check_held(partitions)
            return self._consumer.consumer_group_metadata()

        return await self._within(ask)

    async def took(self, offsets: Mapping[TopicPartition, int]) -> None:
        """A transaction has brought ``offsets``: what is committed later is higher."""

        def note() -> None:
            self._known.update(offsets)
            self._moved(offsets)

        await self._within(note)

    async def _within(self, call: Callable[[], Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._run(call)
        except TimeoutError as error:
            raise StoreAway(f"Kafka's coordinator did not answer within {self._timeout_seconds:g} s") from error

    def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        asked = [self._kafka(tp) for tp in partitions]
        try:
            answer = _checked(self._consumer.committed(asked, timeout=self._timeout_seconds))
        except (KafkaException, RuntimeError) as error:  # RuntimeError: the consumer was closed meanwhile
            raise StoreAway(f"Kafka did not give the committed offsets: {error}") from error
        # Kafka gives the next offset to read, or a negative one for none.
        found = {tp: max(one.offset, 0) - 1 for tp, one in zip(partitions, answer, strict=True)}
        self._known.update(found)
        return found

    def _commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        # The group takes a member's word for any partition, also for one that has gone on to another member, or has
        # come back from one: a batch of before, that is still under way here, would then undo what came after it.
        self._check_held(offsets)
        higher = {tp: last for tp, last in offsets.items() if last > self._known.get(tp, -1)}
        if not higher:
            return
        try:
            wanted = [self._kafka(tp, last + 1) for tp, last in higher.items()]
            _checked(self._consumer.commit(offsets=wanted, asynchronous=False) or [])
        except (KafkaException, RuntimeError) as error:
            raise StoreAway(f"Kafka did not take the commit: {error}") from error
        self._known.update(higher)
        self._moved(higher)

    def _check_held(self, partitions: Iterable[TopicPartition]) -> None:
        lost = [tp for tp in partitions if not self._holds(tp)]
        if lost:
            raise StoreAway(f"{', '.join(map(str, lost))}: not this member's any more")

    def _kafka(self, tp: TopicPartition, offset: int = OFFSET_INVALID) -> KafkaPartition:
        return KafkaPartition(self._prefix + tp.topic, tp.partition, offset)


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


class JoinedCommits:
    """The commits of several tasks, brought together: one is under way at a time, and takes along all that has come in
    meanwhile. An async context manager; leaving it waits for what is under way, and drops it where it is left in anger.
    """

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._one_at_a_time = asyncio.Lock()
        self._wanted: dict[TopicPartition, int] = {}
        self._next: asyncio.Task[None] | None = None
        self._turns: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for turn in self._turns:
            if kind is not None:
                turn.cancel()
        await asyncio.gather(*self._turns, return_exceptions=True)

    def commit(self, tp: TopicPartition, offset: int) -> asyncio.Future[None]:
        """Done once ``offset`` of ``tp`` is committed; fails as the commit that takes it along."""
        self._wanted[tp] = offset
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
            self._turns.add(self._next)
            self._next.add_done_callback(self._turns.discard)
        done = asyncio.shield(self._next)
        done.add_done_callback(_heard)
        return done

    async def _commit(self) -> None:
        async with self._one_at_a_time:
            wanted, self._wanted, self._next = self._wanted, {}, None
            await self._commits.commit(wanted)


def _heard(done: asyncio.Future[None]) -> None:
    """Who has met another failure meanwhile does not ask for this one, and asyncio would log that."""
    if not done.cancelled():
        done.exception()


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
