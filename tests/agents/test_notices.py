"""Each notice is in the log once, whatever ends in between: as all readers of the log read it, committed ones only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from agents.group import emitter_commits
from agents.kafka_source import KafkaSource
from agents.positions import RawBatch
from schemas.codec import decode
from schemas.events import Event, NoticeWithdrawn, Notified, PostLiked, PostUnliked
from schemas.ids import snowflake
from sinks import notices
from sinks.errors import FenceBehind, StoreAway
from sinks.notices import NoticeSink
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.topics import Topics
from streams.notices import NOTICES, project
from streams.records import Record, Span, Spans, TopicPartition

AT = 1_700_000_000_000
POST, AUTHOR = snowflake(AT, 1, 0), snowflake(AT, 1, 1)
FANS = [snowflake(AT, 2, n) for n in range(20)]
PARTITIONS = [TopicPartition(topic, n) for topic in NOTICES.sources for n in range(2)]


class Member:
    """A member of the emitter's group, without an agent behind it."""

    def __init__(self, settings: Settings, slot: str) -> None:
        self.source = KafkaSource(settings, NOTICES.name, NOTICES.sources, slot, 100, 0.01)
        self.commits = emitter_commits(self.source, settings)
        self.sink = NoticeSink(settings, slot, self.commits)

    async def _fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return await self.commits.committed(partitions)

    async def _put(self, batch: RawBatch) -> None:
        self.source.taken()

    async def start(self) -> None:
        failures: list[BaseException] = []
        self.source.start(self._fences, self._put, failures.append)
        async with asyncio.timeout(30):
            while set(self.source.applied_offsets) != set(PARTITIONS):
                assert not failures, failures
                await asyncio.sleep(0.01)


@asynccontextmanager
async def joined(settings: Settings, slot: str) -> AsyncIterator[Member]:
    member = Member(settings, slot)
    await member.start()
    try:
        yield member
    finally:
        await member.source.stop()


@pytest_asyncio.fixture
async def world(settings: Settings) -> Settings:
    own = settings.model_copy(update={"partitions": 2})
    await asyncio.to_thread(Topics(own).provision)
    return own


async def liked(settings: Settings) -> tuple[list[Record], Spans]:
    """Likes and unlikes of one post, in the log, and the batch that an agent would bring of them."""
    events: list[Event] = [
        made(event_id=POST, at=AT, actor_id=fan, post_id=POST, author_id=AUTHOR)
        for fan in FANS
        for made in (PostLiked, PostUnliked)
    ]
    async with Producer(settings) as producer:
        written = await producer.produce_many(events)
    records = [Record(tp, offset, AT, event) for (tp, offset), event in zip(written, events, strict=True)]
    return records, {records[0].tp: Span(-1, records[-1].offset)}


def said(settings: Settings) -> list[tuple[type[Event], int, int]]:
    """(what, who, which record asked for it) for all that can be read."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": settings.topic("reader"),
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    parts = [KafkaPartition(settings.topic("notifications"), n, OFFSET_BEGINNING) for n in range(settings.partitions)]
    consumer.assign(parts)
    found: list[tuple[type[Event], int, int]] = []
    left = len(parts)
    while left:
        for message in consumer.consume(100, timeout=0.1):
            if message.error() is not None:
                left -= 1
            else:
                event = decode(message.value())
                assert isinstance(event, Notified | NoticeWithdrawn)
                found.append((type(event), event.actor_id, event.source.offset))
    consumer.close()
    return found


def expected(records: list[Record]) -> list[tuple[type[Event], int, int]]:
    kinds: dict[type[Event], type[Event]] = {PostLiked: Notified, PostUnliked: NoticeWithdrawn}
    return [(kinds[type(record.event)], record.event.actor_id, record.offset) for record in records]


async def test_a_redelivery_says_nothing_again(world: Settings) -> None:
    records, spans = await liked(world)
    async with joined(world, "0") as member:
        (tp,) = spans
        half = {tp: Span(-1, records[20].offset)}
        await member.sink.apply(project(records[:21]), half)
        assert await member.sink.fences([tp]) == {tp: records[20].offset}
        for _ in range(2):
            await member.sink.apply(project(records), spans)
        await member.sink.apply([], {tp: Span(records[-1].offset, records[-1].offset)})
        assert said(world) == expected(records)
        with pytest.raises(FenceBehind):
            await member.sink.apply([], {tp: Span(records[-1].offset + 1, records[-1].offset + 1)})


@pytest.mark.parametrize("step", ["send_offsets_to_transaction", "commit_transaction"])
async def test_what_ends_halfway_was_never_said(world: Settings, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    records, spans = await liked(world)
    whole, failing = notices.until_done, [True]

    def until_done(call: notices.Call) -> None:
        if step in call.__code__.co_names and failing:
            failing.pop()
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        whole(call)

    monkeypatch.setattr(notices, "until_done", until_done)
    async with joined(world, "0") as member:
        with pytest.raises(StoreAway):
            await member.sink.apply(project(records), spans)
        assert said(world) == []
        await member.sink.apply(project(records), spans)
        assert said(world) == expected(records)


async def test_a_zombie_of_the_same_slot_is_refused(world: Settings) -> None:
    records, spans = await liked(world)
    async with joined(world, "0") as member:
        await member.sink.fences(list(spans))
        successor = NoticeSink(world, "0", member.commits)
        await successor.apply(project(records[:10]), {records[0].tp: Span(-1, records[9].offset)})
        membership = await member.commits.membership(spans)
        with pytest.raises(StoreAway):
            await asyncio.to_thread(
                member.sink._transaction, project(records), {records[0].tp: records[-1].offset}, membership
            )
        assert said(world) == expected(records[:10])


async def test_a_worker_whose_partitions_went_on_is_refused(world: Settings) -> None:
    records, spans = await liked(world)
    async with joined(world, "0") as member:
        await member.sink.fences(list(spans))
        membership = await member.commits.membership(spans)
    async with joined(world, "1") as successor:
        await successor.sink.apply(project(records[:10]), {records[0].tp: Span(-1, records[9].offset)})
        with pytest.raises(StoreAway):
            await asyncio.to_thread(
                member.sink._transaction, project(records), {records[0].tp: records[-1].offset}, membership
            )
        assert said(world) == expected(records[:10])
        await successor.sink.apply(project(records), spans)
        assert said(world) == expected(records)
