"""Feeds while Redis has lost data, is away, or has none for somebody: whole, from Cassandra, and back again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from jobs.provision import provision
from jobs.services.home import Home
from jobs.services.supervisor import Supervisor
from sinks.home_feed_sleep import Sleepers
from sinks.settings import Settings
from streams.buckets import bucket_of
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person, open_gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def feed(gateway: Gateway, person: Person, status: int = 200) -> tuple[list[str], str]:
    """The first page of the feed, and where it came from."""
    answer = await gateway.client.get("/api/v1/feed?limit=100", headers=person.headers)
    assert answer.status_code == status, answer.text
    return [post["id"] for post in answer.json()["items"]], answer.headers["feed-source"]


async def comes_from_redis(gateway: Gateway) -> None:
    """Wait until every bucket is known to be whole."""

    async def whole() -> bool:
        return not gateway.stores.feed_watch.of(1).healing

    await until("the buckets are whole", whole)


async def story(gateway: Gateway, posts: int) -> tuple[Person, Person, list[str]]:
    """Somebody who follows somebody, and the posts of the latter, newest first; all of it applied."""
    reader, ada = await gateway.person(), await gateway.person()
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=reader.headers)
    published = await publish(gateway, ada, posts)
    await gateway.step_to_ends()
    await comes_from_redis(gateway)
    return reader, ada, published


async def publish(gateway: Gateway, author: Person, posts: int) -> list[str]:
    published: list[str] = []
    for _ in range(posts):
        post_id = await gateway.post(author)
        await gateway.publish(author, post_id)
        published.insert(0, post_id)
    await gateway.catch_up()
    return published


async def test_a_flush_is_noticed_by_the_very_next_read(gateway: Gateway) -> None:
    reader, ada, posts = await story(gateway, 6)
    assert await feed(gateway, reader) == (posts, "redis")
    await gateway.stores.redis.flushdb()
    assert await feed(gateway, reader) == (posts, "cassandra")
    profile = (await gateway.client.get(f"/api/v1/users/{ada.id}")).json()
    assert (profile["followers"], profile["following"]) == (1, 0)

    # Half of it is back: a feed that answers, and lacks what it had.
    await gateway.rebuild(0.5)
    await gateway.stores.feed_watch.look()
    assert await feed(gateway, reader) == (posts, "cassandra")
    await gateway.rebuild()
    await comes_from_redis(gateway)
    assert await feed(gateway, reader) == (posts, "redis")


async def test_an_old_snapshot_is_noticed_by_the_very_next_read(gateway: Gateway) -> None:
    reader, ada, posts = await story(gateway, 2)
    redis: Any = gateway.stores.redis
    saved = {key: await redis.dump(key) for key in await redis.keys("hf1:*")}
    posts = await publish(gateway, ada, 2) + posts
    await gateway.stores.feed_watch.look()
    assert await feed(gateway, reader) == (posts, "redis")

    pipeline = redis.pipeline(transaction=True)
    pipeline.flushdb()
    for key, value in saved.items():
        pipeline.restore(key, 0, value)
    await pipeline.execute()
    assert (await gateway.stores.home_feed._redis.llen(f"hf1:{{{_bucket(reader)}}}:h:{reader.id}")) == 2
    assert await feed(gateway, reader) == (posts, "cassandra")
    await gateway.rebuild()
    await comes_from_redis(gateway)
    assert await feed(gateway, reader) == (posts, "redis")


def _bucket(person: Person) -> int:
    return bucket_of(int(person.id), 2)


async def test_data_lost_between_two_commands_of_one_answer(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the feed and the question whom one follows all is lost: the answer is not an empty page."""
    reader, _, posts = await story(gateway, 8)
    asked = type(gateway.stores.home_feed).following_of

    async def after_a_flush(*given: Any) -> list[int]:
        await gateway.stores.redis.flushdb()
        return await asked(*given)

    with monkeypatch.context() as patch:
        patch.setattr(type(gateway.stores.home_feed), "following_of", after_a_flush)
        assert await feed(gateway, reader) == (posts, "cassandra")
    await gateway.rebuild()
    await comes_from_redis(gateway)


async def test_a_gateway_that_starts_while_redis_is_empty_knows(gateway: Gateway) -> None:
    reader, _, posts = await story(gateway, 3)
    await gateway.stores.redis.flushdb()
    await gateway.rebuild(0.9)
    async with open_gateway(gateway.settings) as other:
        assert await feed(other, reader) == (posts, "cassandra")
        await gateway.rebuild()
        await comes_from_redis(other)
        assert await feed(other, reader) == (posts, "redis")
    await comes_from_redis(gateway)


async def test_whoever_returns_gets_a_206_and_then_a_feed(gateway: Gateway) -> None:
    reader, ada, posts = await story(gateway, 5)
    assert await feed(gateway, reader) == (posts, "redis")
    key = f"seen:{{{_bucket(reader)}}}"
    assert await gateway.stores.redis.zscore(key, reader.id) is not None, "reading a feed was noted"
    sleepers: Sleepers = gateway.stores.returning._sleepers(1)
    assert await sleepers.put_to_sleep([int(reader.id)], int(time.time() * 1000) + 1000) == 1
    posts = await publish(gateway, ada, 2) + posts
    assert not await gateway.stores.redis.exists(f"hf1:{{{_bucket(reader)}}}:h:{reader.id}")
    followers = (await gateway.client.get(f"/api/v1/users/{ada.id}")).json()["followers"]
    assert followers == 1, "who sleeps follows all the same"

    assert await feed(gateway, reader, 206) == (posts, "cassandra")
    await gateway.stores.returning.errands.done()
    assert await feed(gateway, reader) == (posts, "redis")
    posts = await publish(gateway, ada, 1) + posts
    assert await feed(gateway, reader) == (posts, "redis")


@asynccontextmanager
async def gateway_on(settings: Settings, redis_url: str) -> AsyncIterator[Gateway]:
    small = {"partitions": 2, "buckets": 2, "feed_cap": 4, "feed_slack": 2, "redis_url": redis_url, "write_burst": 30}
    own = settings.model_copy(update=small | {"write_per_second": 0.01, "public_url": "https://pictures.example"})
    await asyncio.to_thread(provision, own)
    async with open_gateway(own) as opened:
        yield opened
        await opened.stores.cassandra.change_schema(f"DROP KEYSPACE {own.cassandra_keyspace}")


async def test_without_redis_all_goes_on(settings: Settings, own_services: Callable[..., Settings]) -> None:
    own = own_services("redis")
    supervisor = Supervisor(Home.at(own.shutterlog_home))
    async with gateway_on(settings, own.redis_url) as gateway:
        reader, ada, posts = await story(gateway, 6)
        assert await feed(gateway, reader) == (posts, "redis")

        pid = supervisor.states()["redis"].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it takes connections, and never answers
        try:
            began = time.monotonic()
            assert await feed(gateway, reader) == (posts, "cassandra")
            assert time.monotonic() - began < 5
            began = time.monotonic()
            for _ in range(10):
                assert await feed(gateway, reader) == (posts, "cassandra")
            assert time.monotonic() - began < 5
            ready = await gateway.client.get("/readyz")
            assert (ready.status_code, ready.json()["stores"]["redis"]) == (200, False)
            # Writes are counted by this gateway alone.
            answers = [
                (await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=reader.headers)).status_code
                for _ in range(35)
            ]
            assert answers == [200] * 30 + [429] * 5
            login = await gateway.client.post(
                "/api/v1/sessions", json={"username": ada.username, "password": "correct horse battery"}
            )
            assert login.status_code == 201
            assert (await gateway.client.get(f"/api/v1/users/{ada.id}")).json()["followers"] == 1
        finally:
            os.kill(pid, signal.SIGCONT)
        await gateway.catch_up()
        await comes_from_redis(gateway)

        async def back() -> bool:
            return (await feed(gateway, reader))[1] == "redis"

        async def stopped() -> bool:
            return not supervisor.states()["redis"].pid  # it is asked to, and answers until then

        await until("feeds come from Redis again", back)
        assert await feed(gateway, reader) == (posts, "redis")
        # Stopped and started without its data.
        await gateway.stores.redis.config_set("appendonly", "no")
        await gateway.stores.redis.flushall()
        await asyncio.to_thread(supervisor.stop_program, "redis")
        await until("Redis has stopped", stopped)
        assert await feed(gateway, reader) == (posts, "cassandra")
        await asyncio.to_thread(supervisor.start_program, "redis")
        assert await feed(gateway, reader) == (posts, "cassandra")
        await gateway.rebuild()
        await until("feeds come from Redis again", back)
        assert await feed(gateway, reader) == (posts, "redis")
