"""A worker puts people to sleep who were not seen for long; whoever returns finds all of their feed."""

from __future__ import annotations

from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_reader import ASLEEP
from sinks.home_feed_sleep import DAY_MS, Seen, Sleepers
from sinks.settings import Settings
from streams.buckets import bucket_of
from tests.agents.feed_world import FeedWorld
from tests.agents.workers import Workers, until

LONG_AGO = 1_000_000_000_000


async def test_the_fan_out_passes_over_whoever_was_not_seen(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    worker = workers.start(small, "home_feed")
    ada, bob, eve = world.people[:3]
    await world.say([world.followed(bob, ada), world.followed(eve, ada), world.published(ada, 1)])
    await world.settles()
    # Whoever follows somebody and was never seen counts from now on.
    await until("bob is known", lambda: _known(world, small, bob))
    assert not (await world.reader.skeleton(bob)).asleep
    await Seen(world.redis, buckets=small.buckets, inactive_days=30).note(eve)
    await world.redis.zadd(_seen(small, bob), {str(bob): LONG_AGO})

    async def asleep() -> bool:
        return (await world.reader.skeleton(bob)).asleep

    await until("bob sleeps", asleep)
    await worker.says("1 people were not seen for 30 days")
    await world.live(600)
    await world.settles()
    assert await world.reader.skeleton(bob) == ASLEEP
    assert not await world.redis.exists(f"hf1:{{{bucket_of(bob, small.buckets)}}}:h:{bob}")
    assert not (await world.reader.skeleton(eve)).asleep
    assert await world.differences() == [], "a sleeper's feed is all in Cassandra"

    buckets = RedisBuckets(
        world.redis, {}, generation=1, buckets=small.buckets, cap=small.feed_cap, slack=small.feed_slack
    )
    sleepers = Sleepers(buckets, count=small.buckets, cap=small.feed_cap, partitions=small.partitions)
    await Seen(world.redis, buckets=small.buckets, inactive_days=30).note(bob)
    assert await sleepers.wake(bob)
    woken = await world.reader.skeleton(bob)
    assert woken.ids and not woken.asleep
    await world.live(100)
    await world.settles()
    assert await world.differences() == []
    assert worker.process.poll() is None


def _seen(settings: Settings, person: int) -> str:
    return f"seen:{{{bucket_of(person, settings.buckets)}}}"


async def _known(world: FeedWorld, settings: Settings, person: int) -> bool:
    at = await world.redis.zscore(_seen(settings, person), str(person))
    return at is not None and at > LONG_AGO + DAY_MS
