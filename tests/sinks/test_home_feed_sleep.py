"""Falling asleep and waking, on buckets in memory and in Redis; the sweep on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from schemas.ids import MIN_ID
from sinks.errors import StoreAway
from sinks.home_feed_buckets import RedisBuckets, Timeline
from sinks.home_feed_reader import ASLEEP, HomeFeedReader, Skeleton
from sinks.home_feed_sleep import DAY_MS, Seen, Sweep
from sinks.redis import connect
from sinks.settings import Settings
from streams.buckets import bucket_of
from tests.sinks.memory_buckets import MemoryBuckets
from tests.sinks.test_home_feed import (
    CAP,
    COUNT,
    PEOPLE,
    SLACK,
    TOPIC_IDS,
    A,
    B,
    C,
    World,
    fan_out,
    follow,
    post,
    redis_world,
    unfollow,
    withdraw,
)


@pytest.fixture
async def real(settings: Settings) -> AsyncIterator[World]:
    async with connect(settings.redis_url) as redis:
        yield redis_world(redis)


@pytest.fixture
def memory() -> World:
    buckets = MemoryBuckets(TOPIC_IDS, count=COUNT, cap=CAP, slack=SLACK)
    return World(buckets, buckets)


@pytest.fixture(params=["memory", "real"])
def living(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(request.param)
    return made


async def test_a_sleeper_has_no_feed_and_wakes_to_a_whole_one(living: World) -> None:
    await living.apply([follow(0, B, A), follow(1, C, A), fan_out(0, A, 0)])
    await living.unseen([B])
    assert await living.sleepers.put_to_sleep([B], 0) == 1
    assert await living.feed(B) == ASLEEP
    # What happens meanwhile: a post, a follow, an unfollow, a deletion.
    await living.apply([fan_out(1, A, 1), fan_out(2, C, 2), fan_out(3, A, 3), withdraw(4, A, 3)])
    await living.apply([follow(2, B, C), fan_out(5, PEOPLE[3], 4), follow(3, B, PEOPLE[3]), unfollow(4, B, PEOPLE[3])])
    assert await living.feed(B) == ASLEEP
    assert (await living.feed(C)).ids == [post(1), post(0)]
    assert await living.sleepers.wake(B)
    assert await living.feed(B) == Skeleton([post(2), post(1), post(0)], 0)
    await living.apply([fan_out(6, A, 5)])
    assert (await living.feed(B)).ids[0] == post(5)
    assert await living.sleepers.wake(B)
    assert (await living.feed(B)).ids == [post(5), post(2), post(1), post(0)]


async def test_a_waking_that_stopped_halfway_begins_anew(living: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await living.apply([follow(0, B, A), fan_out(0, A, 0)])
    await living.unseen([B])
    await living.sleepers.put_to_sleep([B], 0)

    async def away(wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        raise StoreAway("as if")

    with monkeypatch.context() as patch:
        patch.setattr(living.buckets, "timelines", away)
        with pytest.raises(StoreAway):
            await living.sleepers.wake(B)
    await living.apply([fan_out(1, A, 1)])
    assert await living.feed(B) == ASLEEP, "it has one post, which is not all"
    assert await living.sleepers.wake(B)
    assert (await living.feed(B)).ids == [post(1), post(0)]


async def test_a_feed_is_not_made_from_timelines_that_were_lost(living: World, monkeypatch: pytest.MonkeyPatch) -> None:
    author = next(one for one in PEOPLE if bucket_of(one, COUNT) != bucket_of(B, COUNT))
    await living.apply([follow(0, B, author), fan_out(0, author, 0)])
    await living.unseen([B])
    await living.sleepers.put_to_sleep([B], 0)

    async def lost(wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        return [Timeline(-1, "", ()) for _ in wanted]

    with monkeypatch.context() as patch:
        patch.setattr(living.buckets, "timelines", lost)
        assert not await living.sleepers.wake(B)
    assert await living.feed(B) == ASLEEP
    assert await living.sleepers.wake(B)
    assert (await living.feed(B)).ids == [post(0)]


async def test_sleepers_count_as_followers_and_are_passed_over(real: World) -> None:
    await real.apply([follow(n, person, A) for n, person in enumerate(PEOPLE[1:3])])
    await real.unseen(PEOPLE)
    assert await real.sleepers.put_to_sleep([B], 0) == 1
    assert isinstance(real.reader, HomeFeedReader)
    await real.apply([fan_out(0, A, 0)])
    assert await real.reader.follower_count(A) == 2
    assert await real.reader.followers(A) == {B, C}
    assert isinstance(real.buckets, RedisBuckets)
    assert not await real.buckets._redis.exists(f"hf1:{{{bucket_of(B, COUNT)}}}:h:{B}")


async def test_whoever_was_seen_since_stays_awake(real: World) -> None:
    await real.apply([follow(0, B, A), follow(1, C, A)])
    await real.unseen([B], at=101)
    assert await real.sleepers.put_to_sleep([B, C], 100) == 0, "nobody knows of C"
    assert await real.sleepers.put_to_sleep([B, C], 101) == 1


async def test_a_sweep_finds_everybody(real: World) -> None:
    people = [MIN_ID + 7 * n for n in range(300)]
    await real.apply([follow(n, person, A) for n, person in enumerate(people)])
    assert isinstance(real.buckets, RedisBuckets)
    redis = real.buckets._redis
    days = 30 * DAY_MS
    sweep = Sweep(redis, real.sleepers, generation=1, buckets=COUNT, inactive_days=30)
    now = 2_000_000_000_000
    for _ in range(10):
        # Their time begins when they are first met.
        assert await sweep.step(now) == 0
    await Seen(redis, buckets=COUNT, inactive_days=30).note(people[0])
    await redis.zadd(f"seen:{{{bucket_of(people[0], COUNT)}}}", {str(people[0]): now + 1})
    asleep = [await sweep.step(now + days) for _ in range(30)]
    assert sum(asleep) == len(people) - 1
    assert asleep[-1] == 0
    assert await sweep.step(now + days + 1) == 1
