"""One way to connect to Redis."""

from __future__ import annotations

import asyncio

from sinks.redis import Redis, exchange


async def test_a_task_can_be_cancelled_at_any_moment_of_a_call(redis: Redis) -> None:
    async def ask_for_ever() -> None:
        while True:
            await redis.ping()
            await exchange(redis, [("PING",)])

    await redis.ping()
    for turns in range(40):
        task = asyncio.create_task(ask_for_ever())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled(), f"the cancellation was lost after {turns} turns of the loop"
    assert await redis.ping()
