"""Counting without Redis: the same allowance, in one process."""

from __future__ import annotations

import pytest

from sinks import throttles
from sinks.redis import Circuit, connect
from sinks.throttles import Allowance, OwnBuckets, Throttles

NOBODY = "redis://127.0.0.1:1/0"


def test_a_bucket_empties_and_fills() -> None:
    now = 100.0
    own = OwnBuckets(lambda: now)
    allowance = Allowance(2, 0.5)
    assert [own.take("a", allowance) for _ in range(3)] == [0, 0, 2.0]
    assert own.take("b", allowance) == 0
    now += 1.9
    assert own.take("a", allowance) == pytest.approx(0.1)
    now += 0.1
    assert [own.take("a", allowance) for _ in range(2)] == [0, 2.0]
    own.forgive("a")
    assert own.take("a", allowance) == 0
    now += 1000
    assert [own.take("a", allowance) for _ in range(3)] == [0, 0, 2.0]


async def test_a_token_that_is_put_back_is_one_and_the_bucket_no_fuller(own_redis_url: str) -> None:
    allowance = Allowance(3, 0.001)
    async with connect(own_redis_url) as redis, connect(NOBODY) as nobody:
        for counting in (Throttles(redis), Throttles(nobody, circuit=Circuit())):
            await counting.give_back("a", allowance)
            assert [(await counting.spend("a", allowance)).left for _ in range(3)] == [2, 1, 0]
            await counting.give_back("a", allowance)
            assert await counting.take("a", allowance) == 0
            assert await counting.take("a", allowance) > 900
            for _ in range(5):
                await counting.give_back("a", allowance)
            assert (await counting.spend("a", allowance)).left == 2


async def test_marks_are_remembered_for_a_time_and_not_without_redis(own_redis_url: str) -> None:
    async with connect(own_redis_url) as redis, connect(NOBODY) as nobody:
        counting, away = Throttles(redis, prefix="x."), Throttles(nobody, circuit=Circuit())
        assert not await counting.remembers("a")
        await counting.remember("a", 60)
        assert await counting.remembers("a") and not await counting.remembers("b")
        assert 0 < await redis.ttl("x.known:a") <= 60
        await away.remember("a", 60)
        assert not await away.remembers("a")


def test_as_many_are_remembered_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "_REMEMBERED", 2)
    own = OwnBuckets(lambda: 0.0)
    once = Allowance(1, 1.0)
    assert [own.take(name, once) for name in "abc"] == [0, 0, 0]
    assert own.take("c", once) > 0
    assert own.take("a", once) == 0


async def test_limits_hold_while_redis_is_away() -> None:
    async with connect(NOBODY) as redis:
        circuit = Circuit()
        counting = Throttles(redis, circuit=circuit)
        allowance = Allowance(2, 0.001)
        waits = [await counting.take("a", allowance) for _ in range(3)]
        assert waits[:2] == [0, 0]
        assert waits[2] > 900
        assert circuit.is_open
        await counting.forgive("a")
        assert await counting.take("a", allowance) == 0
