"""Commits of several tasks go to the broker one at a time, and take along what has come in meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from sinks.emitter import JoinedCommits, MemoryCommits
from sinks.errors import StoreAway
from streams.records import TopicPartition

A, B = TopicPartition("media", 0), TopicPartition("media", 1)


class SlowCommits(MemoryCommits):
    """Each commit waits until it is let through, or is told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: asyncio.Queue[tuple[dict[TopicPartition, int], asyncio.Future[None]]] = asyncio.Queue()
        self.inside = 0

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.inside += 1
        assert self.inside == 1, "two commits at a time"
        try:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.begun.put_nowait((dict(offsets), answer))
            await answer
            await super().commit(offsets)
        finally:
            self.inside -= 1


async def test_what_comes_in_meanwhile_goes_together() -> None:
    broker = SlowCommits()
    async with JoinedCommits(broker) as commits:
        first = commits.commit(A, 0)
        wanted, answer = await broker.begun.get()
        assert wanted == {A: 0}
        later = [commits.commit(A, 1), commits.commit(B, 7), commits.commit(A, 2)]
        answer.set_result(None)
        await first
        assert not any(one.done() for one in later)
        wanted, answer = await broker.begun.get()
        assert wanted == {A: 2, B: 7}
        answer.set_result(None)
        await asyncio.gather(*later)
    assert broker.offsets == {A: 2, B: 7}


async def test_a_failure_reaches_those_whose_commit_it_was() -> None:
    broker = SlowCommits()
    async with JoinedCommits(broker) as commits:
        first = commits.commit(A, 0)
        _, answer = await broker.begun.get()
        second = commits.commit(B, 1)
        answer.set_exception(StoreAway("away"))
        with pytest.raises(StoreAway):
            await first
        _, answer = await broker.begun.get()
        answer.set_result(None)
        await second
    assert broker.offsets == {B: 1}


async def test_leaving_waits_for_what_is_under_way() -> None:
    broker = SlowCommits()

    async def let_through() -> None:
        _, answer = await broker.begun.get()
        answer.set_result(None)

    letting = asyncio.create_task(let_through())
    async with JoinedCommits(broker) as commits:
        commits.commit(A, 0)
    assert broker.offsets == {A: 0}
    await letting


async def test_leaving_by_an_exception_leaves_nothing_running() -> None:
    broker = SlowCommits()
    with pytest.raises(RuntimeError, match="stopped"):
        async with JoinedCommits(broker) as commits:
            first = commits.commit(A, 0)
            await broker.begun.get()
            raise RuntimeError("stopped")
    assert broker.inside == 0 and first.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
