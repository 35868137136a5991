"""The source and the sink of an emitter share one consumer group: only the sink commits. How media fetches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

import pytest
import pytest_asyncio

from agents.group import emitter_commits
from agents.kafka_source import KafkaSource
from agents.media import PARTITION_FETCH_BYTES
from agents.positions import RawBatch
from schemas.ids import MIN_ID
from sinks.emitter import ConsumerCommits
from sinks.errors import StoreAway
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import Span, TopicPartition
from tests.sinks.uploads import upload

A, B = TopicPartition("media", 0), TopicPartition("media", 1)
ELSEWHERE = TopicPartition("media", 7)


class Member:
    """A source without an agent behind it, and the commits of its sink."""

    def __init__(self, settings: Settings, commits: Callable[[KafkaSource, Settings], ConsumerCommits]) -> None:
        self.source = KafkaSource(settings, "media", ["media"], "0", 10, 0.01)
        self.commits = commits(self.source, settings)
        self.placed = asyncio.Event()
        self.failures: list[BaseException] = []

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        found = await self.commits.committed(partitions)
        self.placed.set()
        return found

    async def put(self, batch: RawBatch) -> None:
        self.source.taken()

    async def start(self) -> None:
        self.source.start(self.fences, self.put, self.failures.append)
        await asyncio.wait_for(self.placed.wait(), 30)
        while set(self.source.applied_offsets) != {A, B}:
            await asyncio.sleep(0.01)

    async def rounds(self, times: int) -> None:
        """Wait until the source has looked after its lag, and with it after its commits, so many times."""
        for _ in range(times):
            before = self.source.lag()
            while self.source.lag() is before:
                assert not self.failures, self.failures
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def member(settings: Settings) -> AsyncIterator[Member]:
    """A member that holds both partitions of ``media``."""
    own = settings.model_copy(update={"partitions": 2})
    await asyncio.to_thread(Topics(own).provision)
    member = Member(own, emitter_commits)
    await member.start()
    yield member
    await member.source.stop()


async def test_what_the_source_says_of_an_earlier_batch_does_not_undo_a_commit(member: Member) -> None:
    await member.commits.commit({A: 9, B: 4})
    member.source.applied({A: Span(-1, 3), B: Span(-1, 4)})
    await member.rounds(3)
    assert await member.commits.committed([A, B]) == {A: 9, B: 4}


async def test_a_commit_in_the_middle_of_a_batch_counts_as_applied(member: Member) -> None:
    assert member.source.applied_offsets == {A: -1, B: -1}
    await member.commits.commit({A: 9})
    assert member.source.applied_offsets == {A: 9, B: -1}


async def test_a_partition_that_is_not_held_is_not_committed(member: Member) -> None:
    with pytest.raises(StoreAway, match="media-7"):
        await member.commits.commit({A: 3, ELSEWHERE: 3})
    assert await member.commits.committed([A]) == {A: -1}


async def test_a_backlog_of_uploads_is_worked_on_in_many_partitions_at_once(settings: Settings) -> None:
    own = settings.model_copy(update={"partitions": 4})
    await asyncio.to_thread(Topics(own).provision)
    async with Producer(own, linger_ms=0) as producer:  # as gateways write them: few at a time
        for first in range(0, 1200, 20):
            await asyncio.gather(*(producer.produce(upload(MIN_ID + first + n, b"x")) for n in range(20)))
    shares: asyncio.Queue[int] = asyncio.Queue()
    failures: list[BaseException] = []

    async def fences(partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, -1)

    async def put(batch: RawBatch) -> None:
        source.taken()
        for _ in batch.records:
            shares.put_nowait(len(batch.spans))

    source = KafkaSource(own, "media", ["media"], "0", 300, 0.5, partition_fetch_bytes=PARTITION_FETCH_BYTES)
    source.start(fences, put, failures.append)
    try:
        seen = [await asyncio.wait_for(shares.get(), 30) for _ in range(1200)]
    finally:
        await source.stop()
    assert not failures
    # In how many partitions the batch of a record was, of four; with fetches of 128 KiB it is one or two, and with
    # these all but the first batch, for which not every partition may be placed yet.
    assert sum(seen) / len(seen) >= 2.5
