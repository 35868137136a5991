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
