"""The sink of trends in Redis: the contract of sinks, and the model beside a long random history."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from sinks import trending
from sinks.errors import FenceBehind, LogRemade
from sinks.redis import Redis
from sinks.trending import TrendSink
from sinks.trending_reader import TrendReader, TrendScan
from streams.records import Span, TopicPartition
from streams.trending import HASHTAGS, STEPS_A_DAY, Act, value_of
from streams.trending_scores import DAY, HOUR, KEPT_DAYS, WINDOWS, score
from streams.views import Mark
from tests.streams.memory_trends import Item, MemoryTrends

TOPIC_IDS = {"engagement": "E", "activity": "A"}
COUNT, LEAST = 3, 3
ENGAGEMENT, ACTIVITY = TopicPartition("engagement", 0), TopicPartition("activity", 0)
LIKE = 4


class World:
    """The sink, fed batch by batch as an agent would, and what reads it."""

    def __init__(self, redis: Redis, generation: int = 1) -> None:
        self.redis = redis
        self.sink = TrendSink(redis, TOPIC_IDS, generation=generation, buckets=COUNT, least_people=LEAST)
        self.reader = TrendReader(redis, generation=generation, buckets=COUNT)
        self.scan = TrendScan(redis, generation=generation, buckets=COUNT)
        self.reached = {ENGAGEMENT: -1, ACTIVITY: -1}

    async def apply(self, writes: Sequence[Act]) -> None:
        last = dict(self.reached)
        for write in writes:
            last[write.mark.tp] = max(last[write.mark.tp], write.mark.offset)
        await self.sink.apply(writes, {tp: Span(self.reached[tp], last[tp]) for tp in last})
        self.reached = last

    async def held(self, at_day: int) -> dict[str, Item]:
        """What a reader at ``at_day`` can be shown."""
        found: dict[str, Item] = {}
        names = [name for name, newest in (await self.scan.newest()).items() if newest > at_day - KEPT_DAYS]
        async for name, held in self.scan.held(names):
            for window, said in held.scores.items():
                assert math.isclose(said, score(held.trend.counts(WINDOWS[window])), rel_tol=1e-12)
            found[name] = Item(held.trend, held.who, held.authors, set(held.scores))
        return found


@pytest.fixture
async def world(redis: Redis) -> World:
    return World(redis)


def act(offset: int, name: str, person: int, day: int, step: int = 0, weight: int = LIKE, author: int = 90) -> Act:
    return Act(Mark(ENGAGEMENT, offset), name, person, author, day, value_of(weight, step))


async def test_a_list_needs_people_and_two_readings_are_equal(world: World) -> None:
    writes = [act(n, "t:flood", 1, 20, n % 288, 16) for n in range(200)]
    writes += [act(200 + n, "t:dusk", n, 20, 100) for n in range(LEAST)]
    writes += [act(300 + n, "t:dawn", n, 20 + n, 100) for n in range(LEAST)]  # three people, but not within two days
    await world.apply(writes)
    at = 22 * STEPS_A_DAY + 101
    assert [one.name for one in await world.reader.ranked(HASHTAGS, DAY, at)] == ["t:dawn", "t:dusk"]
    assert [one.name for one in await world.reader.ranked(HASHTAGS, HOUR, 20 * STEPS_A_DAY + 101)] == ["t:dusk"]
    assert not await world.reader.is_listed("t:flood", DAY) and await world.reader.is_listed("t:dawn", DAY)
    assert (await world.reader.trends(["t:flood", "t:none"]))["t:flood"].people == {20: 1}


async def test_the_fences_hold(world: World) -> None:
    await world.apply([act(n, "t:dusk", n, 20) for n in range(5)])
    before = await world.held(20)
    await world.sink.apply([act(n, "t:dusk", 50 + n, 20) for n in range(5)], {ENGAGEMENT: Span(-1, 4)})
    assert await world.held(20) == before
    with pytest.raises(FenceBehind):
        await world.sink.apply([act(9, "t:dusk", 50, 20)], {ENGAGEMENT: Span(8, 9)})
    assert await world.held(20) == before
    assert await world.reader.fence(ENGAGEMENT) == 4
    other = TrendSink(world.redis, {**TOPIC_IDS, "engagement": "new"}, generation=1, buckets=COUNT, least_people=1)
    with pytest.raises(LogRemade, match="engagement"):
        await other.fences([ENGAGEMENT])
    with pytest.raises(LogRemade, match="engagement"):
        await other.apply([], {ENGAGEMENT: Span(4, 4)})


async def test_what_is_over_leaves_redis(world: World) -> None:
    """Of items of which nothing comes any more, by calls that are about others, and without any about them."""
    names = [f"t:{n}" for n in range(30)] + ["p:1"]
    await world.apply([act(10 * n + m, name, m, 20) for n, name in enumerate(names) for m in range(LEAST)])
    await world.apply([act(1000, "l:Oslo", 1, 20 + 2 * KEPT_DAYS - 1)])
    assert set(await world.scan.newest()) == {*names, "l:Oslo"}
    for n in range(12):
        await world.apply([act(1001 + n, "l:Oslo", n, 20 + 2 * KEPT_DAYS)])
    assert set(await world.scan.newest()) == {"l:Oslo"}
    left = {key.rpartition(b"}:")[2] async for key in world.redis.scan_iter(match="td1:*")}
    assert {key.split(b":")[0] for key in left} == {b"fences", b"history", b"newest", b"i", b"w", b"a", b"1h", b"24h"}
    assert all(b"Oslo" in key for key in left if key[:2] in (b"i:", b"w:", b"a:"))


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_history_equals_the_model(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days that jump, late events, heavier actions, redelivered batches; at every moment as in memory."""
    monkeypatch.setattr(trending, "CALL_WRITES", 17)
    chance, model = random.Random(seed), MemoryTrends(LEAST)
    names = ["p:1", "p:2", "t:dusk", "t:ö:1", "l:New York"]
    offsets, today = {ENGAGEMENT: -1, ACTIVITY: -1}, 100
    for _ in range(40):
        batch: list[Act] = []
        today += chance.choice([0, 0, 0, 1, 2, 9])
        for _ in range(chance.choice([1, 5, 80])):
            tp = chance.choice([ENGAGEMENT, ACTIVITY])
            offsets[tp] += chance.choice([1, 1, 2])
            day, name = today - chance.choice([0, 0, 0, 1, 3, 7, 8, 12, 15, 16, 20]), chance.choice(names)
            value = value_of(chance.choice([1, 4, 8, 12, 16]), chance.randrange(288))
            author = 10**18 + chance.randrange(20)
            batch.append(Act(Mark(tp, offsets[tp]), name, 10**18 + chance.randrange(6), author, day, value))
        await world.apply(batch)
        model.apply(batch)
        newest = max((max(days) for days in model.items.values()), default=0)
        assert await world.held(newest) == model.read(newest)
    again = World(world.redis, generation=2)
    assert not await again.held(0)
