"""One contract for the home feed's sinks: the live one over buckets in memory and in Redis; the bulk one, loaded."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.ids import MIN_ID
from sinks.errors import FenceBehind, LogRemade
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import Buckets, RedisBuckets
from sinks.home_feed_reader import HomeFeedReader, Skeleton
from sinks.home_feed_sleep import Sleepers
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.sink import Sink
from streams.buckets import bucket_of
from streams.home_feed import FanOut, FeedWrite, Follow, Unfollow, Withdraw
from streams.records import Span, TopicPartition
from streams.views import Mark
from tests.sinks.feed_histories import Generation
from tests.sinks.memory_buckets import MemoryBuckets, contents

TOPIC_IDS = {"posts": "P", "graph": "G"}
CAP, SLACK, COUNT, PULL = 4, 2, 3, 4
POSTS, GRAPH = TopicPartition("posts", 0), TopicPartition("graph", 0)
PEOPLE = [MIN_ID + n for n in range(7)]


def post(n: int) -> int:
    return MIN_ID + 1000 + n


@dataclass
class World:
    """A sink over one kind of buckets, fed batch by batch as an agent would."""

    buckets: Buckets
    reader: HomeFeedReader | MemoryBuckets

    def __post_init__(self) -> None:
        self.sink: Sink[FeedWrite] = HomeFeedSink(self.buckets, TOPIC_IDS, count=COUNT, pull_threshold=PULL)
        self.sleepers = Sleepers(self.buckets, count=COUNT, cap=CAP, partitions=1)
        self.reached = {POSTS: -1, GRAPH: -1}

    async def unseen(self, people: Sequence[int], at: int = 0) -> None:
        """They were last seen at ``at``; in memory everybody always was."""
        if isinstance(self.buckets, RedisBuckets):
            for person in people:
                await self.buckets._redis.zadd(f"seen:{{{bucket_of(person, COUNT)}}}", {str(person): at})

    async def apply(self, writes: list[FeedWrite]) -> None:
        last = dict(self.reached)
        for write in writes:
            last[write.mark.tp] = max(last[write.mark.tp], write.mark.offset)
        spans = {tp: Span(self.reached[tp], last[tp]) for tp in last}
        await self.sink.apply(writes, spans)
        self.reached = last

    async def feed(self, user: int) -> Skeleton:
        found = self.reader.skeleton(user)
        return found if isinstance(found, Skeleton) else await found


@dataclass
class BulkWorld(World):
    """The bulk sink: whoever asks for a feed finds everything loaded that was applied."""

    redis: Redis

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bulk = Generation(self.redis).bulk()
        self.sink = self.bulk

    async def feed(self, user: int) -> Skeleton:
        await self.bulk.load(lambda done, of: None)
        return await super().feed(user)


@pytest.fixture
async def memory() -> AsyncIterator[World]:
    buckets = MemoryBuckets(TOPIC_IDS, count=COUNT, cap=CAP, slack=SLACK)
    yield World(buckets, buckets)


@pytest.fixture
async def real(settings: Settings) -> AsyncIterator[World]:
    async with connect(settings.redis_url) as redis:
        yield redis_world(redis)


def redis_world(redis: Redis) -> World:
    buckets = RedisBuckets(redis, TOPIC_IDS, generation=1, buckets=COUNT, cap=CAP, slack=SLACK)
    return World(buckets, HomeFeedReader(redis, generation=1, buckets=COUNT))


@pytest.fixture
async def bulk(settings: Settings) -> AsyncIterator[World]:
    async with connect(settings.redis_url) as redis:
        live = redis_world(redis)
        yield BulkWorld(live.buckets, live.reader, redis)


@pytest.fixture(params=["memory", "real", "bulk"])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(request.param)
    return made


@pytest.fixture(params=["memory", "real"])
def live_world(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(request.param)
    return made


def follow(offset: int, follower: int, followee: int) -> Follow:
    return Follow(Mark(GRAPH, offset), follower, followee)


def unfollow(offset: int, follower: int, followee: int) -> Unfollow:
    return Unfollow(Mark(GRAPH, offset), follower, followee)


def fan_out(offset: int, author: int, n: int) -> FanOut:
    return FanOut(Mark(POSTS, offset), author, post(n))


def withdraw(offset: int, author: int, n: int) -> Withdraw:
    return Withdraw(Mark(POSTS, offset), author, post(n))


A, B, C, *_ = PEOPLE


async def test_a_post_reaches_every_follower(world: World) -> None:
    await world.apply([follow(0, B, A), follow(1, C, A)])
    await world.apply([fan_out(0, A, 1)])
    assert (await world.feed(B)).ids == (await world.feed(C)).ids == [post(1)]
    assert (await world.feed(A)).ids == []


async def test_follow_backfills_and_unfollow_removes(world: World) -> None:
    await world.apply([fan_out(0, A, 1), fan_out(1, A, 2)])
    await world.apply([follow(0, B, A)])
    assert (await world.feed(B)).ids == [post(2), post(1)]
    await world.apply([unfollow(1, B, A)])
    assert (await world.feed(B)).ids == []
    await world.apply([follow(2, B, A), fan_out(2, A, 3)])
    assert (await world.feed(B)).ids == [post(3), post(2), post(1)]


async def test_deletion_is_final_also_before_publication(world: World) -> None:
    await world.apply([follow(0, B, A), fan_out(0, A, 1), withdraw(1, A, 1), withdraw(2, A, 2)])
    await world.apply([fan_out(3, A, 2), fan_out(4, A, 1)])
    await world.apply([follow(1, C, A)])
    assert (await world.feed(B)).ids == (await world.feed(C)).ids == []


async def test_a_full_feed_keeps_the_newest_and_tells_where_it_goes_on(world: World) -> None:
    await world.apply([follow(0, B, A)])
    for n in range(CAP + SLACK + 1):
        await world.apply([fan_out(n, A, n)])
    feed = await world.feed(B)
    assert feed.ids == [post(n) for n in range(SLACK + CAP, SLACK, -1)]
    assert feed.floor == post(SLACK)


async def test_posts_pushed_out_of_order_are_evicted_by_age(world: World) -> None:
    await world.apply([follow(0, B, A)])
    order = [9, 8, 7, 6, 5, 4, 3]
    assert len(order) == CAP + SLACK + 1
    for offset, n in enumerate(order):
        await world.apply([fan_out(offset, A, n)])
    feed = await world.feed(B)
    assert feed.ids == [post(9), post(8), post(7), post(6)]
    assert feed.floor == post(5)


async def test_an_old_post_does_not_come_back_below_the_floor(live_world: World) -> None:
    """Unfollow shortens the list; a follow must not fill it with posts older than the ones evicted."""
    await live_world.apply([fan_out(0, C, 0)])
    await live_world.apply([follow(0, B, A)])
    await live_world.apply([fan_out(1 + n, A, 1 + n) for n in range(CAP + SLACK + 1)])
    floor = (await live_world.feed(B)).floor
    await live_world.apply([unfollow(1, B, A), follow(2, B, C)])
    assert (await live_world.feed(B)) == Skeleton([], floor)


async def test_many_followers_are_pulled(world: World) -> None:
    await world.apply([follow(n, person, A) for n, person in enumerate(PEOPLE[1:])])
    await world.apply([fan_out(0, A, 0)])
    await world.apply([fan_out(1, A, 1), fan_out(2, A, 2)])
    for person in PEOPLE[1:]:
        assert (await world.feed(person)).ids == [post(2), post(1), post(0)]
    await world.apply([unfollow(10 + n, person, A) for n, person in enumerate(PEOPLE[2:])])
    await world.apply([fan_out(3, A, 3)])
    await world.apply([fan_out(4, A, 4), withdraw(5, A, 2)])
    assert (await world.feed(B)).ids == [post(n) for n in (4, 3, 1, 0)]
    assert (await world.feed(C)).ids == []


async def test_a_redelivered_batch_with_other_boundaries_changes_nothing(world: World) -> None:
    writes: list[FeedWrite] = [follow(0, B, A), fan_out(0, A, 0), fan_out(1, A, 1), follow(1, C, A), withdraw(2, A, 0)]
    await world.apply(writes)
    before = [await world.feed(person) for person in PEOPLE]
    world.reached = {POSTS: -1, GRAPH: -1}
    await world.apply(writes[:2])
    await world.apply([*writes[2:], fan_out(3, A, 3)])
    assert [await world.feed(person) for person in PEOPLE if person not in (B, C)] == [
        feed for person, feed in zip(PEOPLE, before, strict=True) if person not in (B, C)
    ]
    assert (await world.feed(B)).ids == (await world.feed(C)).ids == [post(3), post(1)]


async def test_a_fence_that_went_back_is_noticed_and_nothing_applied(world: World) -> None:
    world.reached = {POSTS: 41, GRAPH: 7}
    with pytest.raises(FenceBehind) as noticed:
        await world.apply([fan_out(42, A, 1)])
    assert noticed.value.positions == {POSTS: -1, GRAPH: -1}
    with pytest.raises(FenceBehind):
        await world.apply([])
    assert await world.sink.fences([POSTS, GRAPH]) == {POSTS: -1, GRAPH: -1}


async def test_fences_of_another_log_stop_the_worker(live_world: World) -> None:
    await live_world.apply([fan_out(0, A, 1)])
    TOPIC_IDS_OF_ANOTHER = {**TOPIC_IDS, "posts": "another"}
    live_world.sink = HomeFeedSink(live_world.buckets, TOPIC_IDS_OF_ANOTHER, count=COUNT, pull_threshold=PULL)
    with pytest.raises(LogRemade, match="posts"):
        await live_world.sink.fences([POSTS])
    live_world.buckets._topic_ids = TOPIC_IDS_OF_ANOTHER  # type: ignore[attr-defined]
    with pytest.raises(LogRemade, match="posts"):
        await live_world.apply([fan_out(1, A, 2)])


async def test_large_calls_are_cut_between_offsets(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.home_feed.CALL_COST", 2)
    await world.apply([follow(n, person, A) for n, person in enumerate(PEOPLE[1:4])])
    await world.apply([*(fan_out(n, A, n) for n in range(5)), withdraw(5, A, 3), follow(3, C, B), fan_out(6, B, 6)])
    for person in (B, C):
        mine = {post(n) for n in ([4, 2, 1, 0] if person == B else [6, 4, 2, 1, 0])}
        feed = await world.feed(person)
        assert set(feed.ids) == {p for p in mine if p > feed.floor}
    assert await world.sink.fences([POSTS, GRAPH]) == {POSTS: 6, GRAPH: 3}


@pytest.mark.parametrize("seed", range(12))
async def test_memory_and_redis_hold_the_same(seed: int, memory: World, real: World) -> None:
    """Random histories, some batches large enough to be grouped, leave both stores equal, key by key."""
    chance = random.Random(seed)
    offsets = {POSTS: -1, GRAPH: -1}
    deleted = 0
    for step in range(30):
        batch: list[FeedWrite] = []
        for _ in range(chance.choice([1, 3, 10, 300])):
            one, other = chance.sample(PEOPLE, 2)
            tp = POSTS if chance.random() < 0.7 else GRAPH
            offsets[tp] += chance.choice([1, 1, 2])
            mark = Mark(tp, offsets[tp])
            n = step * 200 + chance.randrange(-300, 200)
            kinds: list[FeedWrite] = (
                [FanOut(mark, one, post(n)), FanOut(mark, one, post(n)), Withdraw(mark, one, post(n))]
                if tp == POSTS
                else [Follow(mark, one, other), Follow(mark, one, other), Unfollow(mark, one, other)]
            )
            batch.append(chance.choice(kinds))
            deleted += isinstance(batch[-1], Withdraw)
        await memory.apply(batch)
        await real.apply(batch)
        for world in (memory, real):
            await world.unseen(PEOPLE)
        one, other = chance.sample(PEOPLE, 2)
        assert await memory.sleepers.put_to_sleep([one], 0) == await real.sleepers.put_to_sleep([one], 0)
        assert await memory.sleepers.wake(other) is await real.sleepers.wake(other) is True
        for person in PEOPLE:
            assert await memory.feed(person) == await real.feed(person), f"step {step}, person {person}"
    assert deleted
    assert isinstance(memory.buckets, MemoryBuckets)
    assert isinstance(real.buckets, RedisBuckets)
    held = contents(memory.buckets)
    assert [fences for fences, *_ in held] == await real.buckets.fences()
    redis: Any = real.buckets._redis
    assert any(asleep for *_, asleep in held)
    for n, (_, floors, lists, sets, asleep) in enumerate(held):
        prefix = f"hf1:{{{n}}}:"
        assert {k.decode(): v.decode() for k, v in (await redis.hgetall(prefix + "floors")).items()} == floors
        assert {k.decode(): v.decode() for k, v in (await redis.hgetall(prefix + "asleep")).items()} == asleep
        for key, members in sets.items():
            assert {m.decode() for m in await redis.smembers(prefix + key)} == members, key
        for key, ids in lists.items():
            # Followers of a set come in no order, so that equal ids may stand in another order of pushing.
            assert {i.decode() for i in await redis.lrange(prefix + key, 0, -1)} == set(ids), key


def test_buckets_are_evenly_filled() -> None:
    filled = [0] * 16
    for n in range(16_000):
        filled[bucket_of(MIN_ID + n * 4096, 16)] += 1
    assert min(filled) > 900
    assert max(filled) < 1100
