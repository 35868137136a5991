"""Two workers and everything that can happen to them and their Redis, in an order that the seed gives."""

from __future__ import annotations

import asyncio
import random

from sinks.settings import Settings
from tests.agents.feed_world import FeedWorld
from tests.agents.workers import Workers

ROUNDS = 6


async def test_feeds_outlive_kills_flushes_and_lost_buckets(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    chance = random.Random(12)
    running = {slot: workers.start(small, "home_feed", slot=slot) for slot in "ab"}
    for worker in running.values():
        await worker.says("home_feed: assigned [a-z]")
    for _ in range(ROUNDS):
        living = asyncio.create_task(world.live(400))
        await world.applies(await world.applied() + chance.randrange(10, 150))
        what = chance.choice(["flush", "kill", "flush and kill", "lose a bucket"])
        if "flush" in what:
            await world.redis.flushdb()
        if "kill" in what:
            slot = chance.choice("ab")
            await running[slot].kill()
            running[slot] = workers.start(small, "home_feed", slot=slot)
        if what == "lose a bucket":
            bucket = chance.randrange(small.buckets)
            # Key by key, and so in the middle of the workers' own calls.
            for key in [key async for key in world.redis.scan_iter(match=f"hf1:{{{bucket}}}:*")]:
                await world.redis.delete(key)
        await living
    await world.settles(60)
    assert await world.differences() == []
    assert all(worker.process.poll() is None for worker in running.values()), "only kills may end a worker"
