"""Redis is flushed, and later put back to an old snapshot, under load: nobody notices, nor has to do anything."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from jobs.provision import provision
from jobs.verify import verify
from tests.agents.workers import until, worker_processes
from tests.api.gateway import Gateway, Person, open_gateway
from tests.e2e.conftest import SLOW, forget, settings_of_a_world
from tests.services import empty_redis

GROUPS = ("accounts", "follows", "posts", "user_posts", "notifications", "home_feed")
BEFORE, UNDER_WAY = 30, 60
PEOPLE, AUTHORS = 3, 4


class Load:
    """Authors who publish all the time, and readers who read all the time."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.readers: list[Person] = []
        self.authors: list[Person] = []
        self.posts: list[int] = []
        self.sources: list[tuple[float, str]] = []
        self.reads = 0

    async def begin(self) -> None:
        self.authors = [await self.gateway.person() for _ in range(AUTHORS)]
        self.readers = [await self.gateway.person() for _ in range(PEOPLE)]
        # The gateway follows nobody who is not in the accounts view yet.
        for reader in self.readers:
            for author in self.authors:
                follow = f"/api/v1/users/{author.id}/follow"

                async def followed(follow: str = follow, reader: Person = reader) -> bool:
                    return (await self.gateway.client.put(follow, headers=reader.headers)).status_code == 200

                await until("the authors are known", followed, SLOW)

    async def publish(self, posts: int, pause: float) -> None:
        for n in range(posts):
            post = self.gateway.stores.snowflakes.next()
            await self.gateway.publish(self.authors[n % AUTHORS], str(post))
            self.posts.append(post)
            await asyncio.sleep(pause)

    async def read(self) -> None:
        """One read: with all that was said before it, whatever Redis holds."""
        offsets = {r.tp: r.offset for r in self.gateway.listener.records if r.tp.topic in ("posts", "graph")}
        expected = set(map(str, self.posts))
        reader = self.readers[self.reads % PEOPLE]
        self.reads += 1
        token = ",".join(f"{tp}-{offset}" for tp, offset in offsets.items())
        answer = await self.gateway.client.get(
            "/api/v1/feed?limit=100", headers=reader.headers | {"Consistency-Token": token}
        )
        assert answer.status_code == 200, answer.text
        ids = [post["id"] for post in answer.json()["items"]]
        source = answer.headers["feed-source"]
        assert expected <= set(ids), f"{len(expected - set(ids))} of {len(expected)} are missing, from {source}"
        assert ids == sorted(ids, key=int, reverse=True)
        self.sources.append((time.monotonic(), source))

    async def heals(self, since: float) -> float:
        """Wait until feeds come from Cassandra and then from Redis again; the seconds that took."""

        async def back() -> bool:
            later = [source for at, source in self.sources if at > since]
            return "cassandra" in later and later[-1] == "redis"

        await until("feeds come from Redis again", back, SLOW)
        return time.monotonic() - since


async def test_losses_under_load_are_not_seen(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, tmp_path: Path
) -> None:
    with empty_redis(redis_url) as own_redis_url, worker_processes(tmp_path) as workers:
        settings = settings_of_a_world(
            kafka_bootstrap,
            own_redis_url,
            cassandra_hosts,
            tmp_path,
            feed_cap=50,
            consistency_wait_seconds=SLOW,
            idle_call_seconds=0.3,
        )
        await asyncio.to_thread(provision, settings)
        worker = workers.start(settings, *GROUPS)
        await worker.says("metrics on port", seconds=SLOW)
        async with open_gateway(settings) as gateway:
            load = Load(gateway)
            await load.begin()
            await load.publish(BEFORE // 2, 0)
            redis: Any = gateway.stores.redis
            saved = await snapshot(redis)
            await load.publish(BEFORE - BEFORE // 2, 0)
            stopping = asyncio.Event()

            async def read_on() -> None:
                while not stopping.is_set():
                    await load.read()

            reading = asyncio.create_task(read_on())
            publishing = asyncio.create_task(load.publish(UNDER_WAY, 0.1))
            try:
                await load_comes_from_redis(load)
                began = time.monotonic()
                await redis.flushdb()
                flushed = await load.heals(began)
                began = time.monotonic()
                pipeline = redis.pipeline(transaction=True)
                pipeline.flushdb()
                for key, value in saved.items():
                    pipeline.restore(key, 0, value)
                await pipeline.execute()
                put_back = await load.heals(began)
                await publishing
                await load.read()
            finally:
                stopping.set()
                publishing.cancel()
                await reading
            print(f"{load.reads} reads; healed {flushed:.1f} s after the flush, {put_back:.1f} s after the snapshot")
        views = ["follows", "posts", "user_posts", "home_feed"]
        report = await asyncio.to_thread(verify, settings, views, patience=10, quiet=True)
        assert report.differences == 0, "\n".join(report.lines(20))
        assert worker.process.poll() is None
        await forget(settings)


async def snapshot(redis: Any) -> dict[bytes, bytes]:
    """All keys of the home feed as they are at one moment."""
    keys = await redis.keys("hf1:*")
    pipeline = redis.pipeline(transaction=True)
    for key in keys:
        pipeline.dump(key)
    return {key: value for key, value in zip(keys, await pipeline.execute(), strict=True) if value is not None}


async def load_comes_from_redis(load: Load) -> None:
    async def near() -> bool:
        return bool(load.sources) and load.sources[-1][1] == "redis"

    await until("feeds come from Redis", near, SLOW)
