"""An emitter commits only what the broker has acknowledged, and says nothing again that is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.events import Event, PostDeleted
from sinks.emitter import ConsumerCommits, EmitterSink, MemoryCommits
from sinks.errors import FenceBehind, StoreAway
from sinks.settings import Settings
from streams.causes import Cause
from streams.publishing import Removed
from streams.records import Span, TopicPartition
from streams.views import Mark
from tests.sinks.emitter_world import Broker, FailingCommits, Log

A, B = TopicPartition("posts", 0), TopicPartition("posts", 1)


class Echo(EmitterSink[Removed]):
    """Says of each deletion that it saw it."""

    async def emit(self, writes: Sequence[Removed]) -> None:
        await self._producer.produce_many([said(write) for write in writes])


def said(write: Removed) -> Event:
    return PostDeleted(event_id=write.mark.offset, at=1, actor_id=1, post_id=write.post_id, author_id=1)


def at(tp: TopicPartition, offset: int) -> Removed:
    return Removed(Cause(Mark(tp, offset), 1, ""), offset)


async def test_emits_in_order_then_commits_all_that_the_batch_moves() -> None:
    broker, commits = Broker(), FailingCommits()
    writes = [at(A, 3), at(B, 0), at(A, 4)]
    await Echo(broker, commits).apply(writes, {A: Span(-1, 9), B: Span(-1, 2)})
    assert broker.log == [said(write) for write in writes]
    assert commits.seen == [{A: 9, B: 2}]


async def test_what_is_committed_is_not_said_again() -> None:
    broker, commits = Broker(), MemoryCommits()
    commits.offsets = {A: 3}
    await Echo(broker, commits).apply([at(A, 3), at(A, 4)], {A: Span(-1, 4)})
    assert [event.event_id for event in broker.log] == [4]


async def test_nothing_is_committed_before_the_acknowledgement() -> None:
    broker, commits = Broker(), FailingCommits()
    broker.away, broker.writes_when_away = 1, True
    sink = Echo(broker, commits)
    with pytest.raises(StoreAway):
        await sink.apply([at(A, 0)], {A: Span(-1, 0)})
    assert await sink.fences([A]) == {A: -1}
    await sink.apply([at(A, 0)], {A: Span(-1, 0)})
    assert await sink.fences([A]) == {A: 0}
    assert len(broker.log) == 2


async def test_a_commit_that_went_back_is_noticed_even_by_an_idle_call() -> None:
    broker, commits = Broker(), FailingCommits()
    commits.offsets = {A: 5, B: 7}
    sink = Echo(broker, commits)
    await sink.apply([], {A: Span(5, 5), B: Span(7, 7)})
    commits.offsets[A] = 2
    with pytest.raises(FenceBehind) as behind:
        await sink.apply([at(B, 8)], {A: Span(5, 5), B: Span(7, 8)})
    assert behind.value.positions == {A: 2, B: 7}
    assert (broker.log, commits.seen) == ([], [])


async def test_a_members_commits_are_in_kafka(settings: Settings) -> None:
    log = await asyncio.to_thread(Log, settings.model_copy(update={"partitions": 2}))
    member = await asyncio.to_thread(log.member, "publisher", ["posts"])
    try:
        commits = log.commits(member)
        assert await commits.committed([A, B]) == {A: -1, B: -1}
        await commits.commit({A: 0})
        await commits.commit({B: 41})
        assert await commits.committed([A, B]) == {A: 0, B: 41}
        assert await commits.committed([]) == {}
    finally:
        await asyncio.to_thread(member.close)
    successor = await asyncio.to_thread(log.member, "publisher", ["posts"])
    try:
        assert await log.commits(successor).committed([A, B]) == {A: 0, B: 41}
    finally:
        await asyncio.to_thread(successor.close)


async def test_who_is_no_member_any_more_cannot_commit(settings: Settings) -> None:
    log = await asyncio.to_thread(Log, settings.model_copy(update={"partitions": 2}))
    member = await asyncio.to_thread(log.member, "publisher", ["posts"])
    zombie = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.topic("publisher")})
    try:
        with pytest.raises(StoreAway):
            await log.commits(zombie).commit({A: 3})
        assert await log.commits(member).committed([A]) == {A: -1}
    finally:
        await asyncio.to_thread(zombie.close)
        await asyncio.to_thread(member.close)


async def test_kafka_that_does_not_answer_or_a_closed_consumer_is_away() -> None:
    nowhere = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "error_cb": lambda error: None})
    try:
        with pytest.raises(StoreAway):
            await ConsumerCommits(nowhere, Settings(), timeout_seconds=0.2).committed([A])
    finally:
        nowhere.close()
    with pytest.raises(StoreAway):
        await ConsumerCommits(nowhere, Settings()).commit({A: 1})


async def test_a_commit_never_goes_back_but_by_an_operator(settings: Settings) -> None:
    log = await asyncio.to_thread(Log, settings.model_copy(update={"partitions": 2}))
    member = await asyncio.to_thread(log.member, "publisher", ["posts"])
    try:
        commits, operator = log.commits(member), log.commits(member)
        await commits.commit({A: 9})
        await commits.commit({A: 5, B: 5})
        assert await commits.committed([A, B]) == {A: 9, B: 5}
        await operator.committed([A, B])
        await operator.commit({B: 7})
        await asyncio.to_thread(
            member.commit, offsets=[KafkaPartition(settings.topic("posts"), 0, 3)], asynchronous=False
        )
        assert await commits.committed([A, B]) == {A: 2, B: 7}
        await commits.commit({A: 4, B: 6})
        assert await commits.committed([A, B]) == {A: 4, B: 7}
    finally:
        await asyncio.to_thread(member.close)


async def test_a_coordinator_that_is_silent_is_away_within_the_time_limit() -> None:
    async def silence(call: Callable[[], Any]) -> None:
        await asyncio.Event().wait()

    consumer = Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "g", "error_cb": lambda error: None})
    commits = ConsumerCommits(consumer, Settings(), timeout_seconds=0.05, run=silence)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(StoreAway, match="within"):
                await commits.commit({A: 1})
            with pytest.raises(StoreAway, match="within"):
                await commits.committed([A])
    finally:
        consumer.close()
