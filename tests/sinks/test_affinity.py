"""The sink of affinity in Redis: the contract of sinks, and the model beside a long random history."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from sinks import affinity
from sinks.affinity import AffinityReader, AffinityScan, AffinitySink
from sinks.errors import FenceBehind, LogRemade
from sinks.redis import Redis
from streams.affinity import AffinityWrite, Pair, Tied, Turned
from streams.records import Span, TopicPartition
from streams.views import Mark
from tests.streams.test_affinity import MemoryAffinity, Pairs

TOPIC_IDS = {"engagement": "E", "activity": "A", "graph": "G"}
COUNT = 3
PARTITIONS = [TopicPartition(topic, 0) for topic in TOPIC_IDS]
SOMEBODY, ANOTHER = 10**18 + 1, 10**18 + 2


class World:
    """The sink, fed batch by batch as an agent would, and what reads it."""

    def __init__(self, redis: Redis, generation: int = 1) -> None:
        self.sink = AffinitySink(redis, TOPIC_IDS, generation=generation, buckets=COUNT)
        self.reader = AffinityReader(redis, generation=generation, buckets=COUNT)
        self.scan = AffinityScan(redis, generation=generation, buckets=COUNT)
        self.reached = dict.fromkeys(PARTITIONS, -1)

    async def apply(self, writes: Sequence[AffinityWrite]) -> None:
        last = dict(self.reached)
        for write in writes:
            last[write.mark.tp] = max(last[write.mark.tp], write.mark.offset)
        await self.sink.apply(writes, {tp: Span(self.reached[tp], last[tp]) for tp in last})
        self.reached = last

    async def held(self) -> Pairs:
        viewers = await self.scan.viewers()
        return {(v, a): pair async for v, pairs in self.scan.held(viewers) for a, pair in pairs.items()}


@pytest.fixture
async def world(redis: Redis) -> World:
    return World(redis)


def turned(offset: int, step: int = 100, weight: int = 4) -> Turned:
    return Turned(Mark(PARTITIONS[0], offset), SOMEBODY, ANOTHER, step, weight)


async def test_twice_is_once_and_a_reader_gets_it(world: World) -> None:
    writes: list[AffinityWrite] = [
        turned(0),
        turned(2, 101),
        Tied(Mark(PARTITIONS[2], 4), SOMEBODY, ANOTHER, 1_700_000_000_123),
    ]
    await world.apply(writes)
    await world.sink.apply(writes[1:], {tp: Span(last, last) for tp, last in world.reached.items()})
    expected = {ANOTHER: Pair(1_700_000_000_123, {100: 4, 101: 4})}
    assert await world.reader.of(SOMEBODY, [ANOTHER, 10**18 + 3]) == expected
    assert await world.reader.of(ANOTHER, [SOMEBODY]) == await world.reader.of(ANOTHER, []) == {}
    assert [await world.reader.fence(tp) for tp in PARTITIONS] == [2, -1, 4]


async def test_lost_fences_and_another_log_are_noticed(world: World, redis: Redis) -> None:
    await world.apply([turned(3)])
    other = AffinitySink(redis, {**TOPIC_IDS, "engagement": "new"}, generation=1, buckets=COUNT)
    with pytest.raises(LogRemade, match="engagement"):
        await other.apply([], {PARTITIONS[0]: Span(3, 3)})
    with pytest.raises(LogRemade, match="engagement"):
        await other.fences(PARTITIONS)
    await redis.flushdb()
    with pytest.raises(FenceBehind):
        await world.apply([turned(4)])
    assert await world.held() == {}


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_history_equals_the_model(world: World, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """In calls of any size, with other boundaries; at every moment as in memory."""
    monkeypatch.setattr(affinity, "CALL_WRITES", 17)
    chance, model = random.Random(seed), MemoryAffinity()
    offsets = dict.fromkeys(PARTITIONS, -1)
    for _ in range(30):
        batch: list[AffinityWrite] = []
        for _ in range(chance.choice([1, 5, 80])):
            tp = chance.choice(PARTITIONS)
            offsets[tp] += chance.choice([1, 1, 2])
            about = Mark(tp, offsets[tp]), 10**18 + chance.randrange(6), 10**18 + chance.randrange(6)
            if tp.topic == "graph":
                batch.append(Tied(*about, chance.choice([0, 1_700_000_000_001 + offsets[tp]])))
            else:
                step = 9000 + chance.choice([chance.randrange(200), chance.randrange(3)])
                batch.append(Turned(*about, step, chance.choice([1, 2, 16])))
        await world.apply(batch)
        model.apply(batch)
        assert await world.held() == model.read()
