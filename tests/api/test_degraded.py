"""A gateway whose stores go away, one at a time: what goes on, what says 503, and that nothing is lost or leaks."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from schemas.events import Blocked, PostDeleted
from sinks.broker_watch import BrokerWatch
from streams.records import Record
from tests.agents.workers import until
from tests.api.gateway import Gateway, Person, open_gateway
from tests.api.test_healing import comes_from_redis, story
from tests.lines import Aside, KafkaLine, Line

pytestmark = pytest.mark.asyncio(loop_scope="session")
SOON = 30.0
"""Seconds: more than any request may take whose store is away, and far less than for ever."""


class Lines(NamedTuple):
    """The lines to the stores, and the gateway at their end: another one of the world of ``gateway``."""

    gateway: Gateway
    kafka: Aside
    redis: Aside
    cassandra: Aside

    def hand_over(self, gateway: Gateway) -> list[Record]:
        """Let ``gateway``, which applies the log to the views, know what was said here; what that was."""
        said, self.gateway.listener.records[:] = list(self.gateway.listener.records), []
        gateway.listener.records += said
        return said


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lines(gateway: Gateway) -> AsyncIterator[Lines]:
    """A gateway that reaches its stores by lines that can be cut."""
    of = gateway.settings
    address, _, database = of.redis_url.removeprefix("redis://").partition("/")
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(Aside(KafkaLine(of.kafka_bootstrap)))
        redis = await stack.enter_async_context(Aside(Line(address)))
        cassandra = await stack.enter_async_context(Aside(Line(of.cassandra_hosts)))
        there = {
            "kafka_bootstrap": kafka.address,
            "redis_url": f"redis://{redis.address}/{database}",
            "cassandra_hosts": cassandra.address,
            "clickhouse_url": "http://127.0.0.1:1",
            "node_id": 1,
        }
        other = await stack.enter_async_context(open_gateway(of.model_copy(update=there), BrokerWatch(1.0, 1.0)))
        yield Lines(other, kafka, redis, cassandra)


async def soon(answer: Awaitable[httpx.Response], seconds: float = SOON) -> httpx.Response:
    """The answer, which has to come within ``seconds``."""
    began = time.monotonic()
    found = await answer
    assert time.monotonic() - began < seconds, found.text
    return found


def is_away(answer: httpx.Response) -> bool:
    """Whether it is a 503 as a client needs it; fails for any other 5xx."""
    if answer.status_code != 503:
        assert answer.status_code < 500, answer.text
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].rpartition(":")[2] == "store-away"
    assert int(answer.headers["retry-after"]) >= 1
    return True


READS = (
    *("/feed", "/me", "/users/{author}", "/users/{author}/posts", "/users/{author}/followers", "/posts/{post}"),
    *("/posts/{post}/comments", "/notifications", "/explore", "/trending/posts", "/stories/feed"),
    "/search/people?q=ada",
)


async def read_all(gateway: Gateway, reader: Person, author: Person, post: str) -> dict[str, int]:
    """The status of every kind of read, each of which has to come soon."""
    found = {}
    for path in READS:
        address = "/api/v1" + path.format(author=author.id, post=post)
        answer = await soon(gateway.client.get(address, headers=reader.headers))
        found[path] = 503 if is_away(answer) else answer.status_code
    return found


async def ready_without(gateway: Gateway) -> tuple[int, set[str]]:
    """What the gateway tells a load balancer, and which stores it says are away."""
    answer = await soon(gateway.client.get("/readyz"), 5)
    return answer.status_code, {store for store, there in answer.json()["stores"].items() if not there}


async def feed(gateway: Gateway, person: Person) -> httpx.Response:
    return await gateway.client.get("/api/v1/feed", headers=person.headers)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [post["id"] for post in answer.json()["items"]]


async def test_without_kafka_reads_go_on_and_a_write_is_done_once(gateway: Gateway, lines: Lines) -> None:
    far = lines.gateway
    reader, ada, posts = await story(gateway, 2)
    before = await read_all(far, reader, ada, posts[0])
    assert set(before.values()) == {200}, before
    key = reader.headers | {"Idempotency-Key": uuid.uuid4().hex}
    address, body = f"/api/v1/posts/{posts[0]}/comments", {"text": "hello"}
    block = f"/api/v1/users/{(await gateway.person()).id}/block"
    lines.hand_over(gateway)

    for gone in (lines.kafka.cut, lines.kafka.silence):
        await gone()
        assert is_away(await soon(far.client.post(address, json=body, headers=key)))
        assert is_away(await soon(far.client.put(block, headers=reader.headers)))
        # Nobody waits any more for what is known to be away.
        for _ in range(5):
            assert is_away(await soon(far.client.post(address, json=body, headers=key), 5))
            assert is_away(await soon(far.client.put(block, headers=reader.headers), 5))
        assert await read_all(far, reader, ada, posts[0]) == before
        assert await ready_without(far) == (200, {"kafka"})
        await lines.kafka.cut()
        await lines.kafka.open()

        async def written() -> bool:
            return not is_away(await soon(far.client.post(address, json=body, headers=key)))

        await until("writes go on", written)

    assert len({record.event.event_id for record in lines.hand_over(gateway)}) == 1
    await gateway.catch_up()
    comments = (await gateway.client.get(address, headers=reader.headers)).json()["items"]
    assert [comment["text"] for comment in comments] == ["hello"]


async def test_without_redis_feeds_come_from_cassandra(gateway: Gateway, lines: Lines) -> None:
    far = lines.gateway
    reader, ada, posts = await story(gateway, 3)
    await comes_from_redis(far)
    assert (await feed(far, reader)).headers["feed-source"] == "redis"
    await lines.redis.cut()
    found = await soon(feed(far, reader))
    assert (ids(found), found.headers["feed-source"]) == (posts, "cassandra")
    after = await read_all(far, reader, ada, posts[0])
    assert {path for path, status in after.items() if status == 503} <= {"/trending/posts", "/explore"}, after
    liked = await soon(far.client.post(f"/api/v1/posts/{posts[0]}/like", headers=reader.headers))
    assert liked.status_code == 200
    assert await ready_without(far) == (200, {"redis"})
    await lines.redis.open()
    await comes_from_redis(far)


async def reads_again(gateway: Gateway, person: Person, posts: list[str]) -> None:
    """Wait until all is as it was."""

    async def whole() -> bool:
        if is_away(await gateway.client.get(f"/api/v1/posts/{posts[0]}", headers=person.headers)):
            return False
        answer = await feed(gateway, person)
        return not is_away(answer) and "feed-missing" not in answer.headers and ids(answer) == posts

    await until("Cassandra is back", whole)


@pytest.mark.parametrize("how", ["cut", "silent"])
async def test_without_cassandra_feeds_come_from_redis_and_from_memory(
    gateway: Gateway, lines: Lines, how: str
) -> None:
    far = lines.gateway
    reader, ada, posts = await story(gateway, 3)
    stranger = await gateway.person()
    await gateway.client.put(f"/api/v1/users/{ada.id}/follow", headers=stranger.headers)
    await gateway.catch_up()
    assert ids(await feed(far, reader)) == posts
    if how == "cut":
        await lines.cassandra.cut()
    else:
        await lines.cassandra.silence()
    try:

        async def stands() -> bool:
            return not is_away(await soon(feed(far, reader)))  # a slow machine needs a while to read the log

        await until("the feed stands without Cassandra", stands)
        found = await soon(feed(far, reader))
        assert (ids(found), found.headers["feed-source"]) == (posts, "redis")
        assert found.json()["items"][0]["author"]["id"] == ada.id
        # Whose relations are not remembered is shown nothing.
        assert is_away(await soon(feed(far, stranger)))
        statuses = await read_all(far, reader, ada, posts[0])
        statuses.pop("/feed")  # it stood above, and may have to wait where the log is read slowly
        assert not {status for status in statuses.values() if status not in (200, 503)}
        assert statuses["/posts/{post}"] == 503
        assert await ready_without(far) == (200, {"cassandra"})
        assert is_away(await soon(far.client.post(f"/api/v1/posts/{posts[0]}/like", headers=reader.headers)))
        for _ in range(5):
            assert is_away(await soon(feed(far, stranger), 5))
    finally:
        await lines.cassandra.cut()
        await lines.cassandra.open()
    await reads_again(far, stranger, posts)


async def test_without_cassandra_nothing_is_shown_that_the_log_has_hidden(gateway: Gateway, lines: Lines) -> None:
    """What another gateway said, which still reaches Cassandra, is in the log; the views here are as they were."""
    far = lines.gateway
    reader, ada, posts = await story(gateway, 2)
    bea = await gateway.person()
    await gateway.client.put(f"/api/v1/users/{bea.id}/follow", headers=reader.headers)
    theirs = await gateway.post(bea)
    await gateway.publish(bea, theirs)
    await gateway.catch_up()
    assert ids(await feed(far, reader)) == [theirs, *posts]

    def by(person: Person) -> dict[str, Any]:
        at = int(time.time() * 1000)
        return {"event_id": gateway.stores.snowflakes.next(), "at": at, "actor_id": int(person.id)}

    await lines.cassandra.cut()
    try:
        assert ids(await soon(feed(far, reader))) == [theirs, *posts]
        await gateway.say(PostDeleted(**by(ada), post_id=int(posts[0]), author_id=int(ada.id)))

        async def gone() -> bool:
            answer = await feed(far, reader)
            return ids(answer) == [theirs] and answer.headers["feed-missing"] == "2"

        await until("the deleted post is not shown", gone, 5)
        blocked: Any = {"blocker_id": int(bea.id), "blocked_id": int(reader.id), "user_id": int(reader.id)}
        await gateway.say(Blocked(**by(bea), **blocked))

        async def hidden() -> bool:
            return is_away(await feed(far, reader))

        await until("who blocks is not shown", hidden, 5)
    finally:
        await lines.cassandra.open()
    await gateway.catch_up()

    async def back() -> bool:
        return (await far.client.get(f"/api/v1/posts/{posts[0]}", headers=reader.headers)).status_code == 404

    await until("Cassandra is back", back)


async def test_without_cassandra_and_kafka_nothing_is_taken_for_granted(gateway: Gateway, lines: Lines) -> None:
    far = lines.gateway
    reader, _, posts = await story(gateway, 2)
    assert ids(await feed(far, reader)) == posts
    await lines.kafka.cut()
    await lines.cassandra.cut()

    async def unknown() -> bool:
        return is_away(await soon(feed(far, reader)))

    try:
        await until("what the log says is not known any more", unknown, SOON)
        assert await ready_without(far) == (503, {"kafka", "cassandra"})
    finally:
        await lines.kafka.open()
        await lines.cassandra.open()
    await reads_again(far, reader, posts)


async def test_without_clickhouse_only_insights_wait(gateway: Gateway, lines: Lines) -> None:
    far = lines.gateway
    reader, ada, posts = await story(gateway, 1)
    own = ("/me/insights", *(f"/me/insights/{what}" for what in ("followers", "hours", "stories")))
    for path in (*own, f"/posts/{posts[0]}/insights"):
        assert is_away(await soon(far.client.get("/api/v1" + path, headers=ada.headers)))
    assert set((await read_all(far, reader, ada, posts[0])).values()) == {200}
    ranked = await far.client.get("/api/v1/feed?order=ranked", headers=reader.headers)
    assert (ids(ranked), ranked.headers["feed-order"]) == (posts, "latest")


async def test_without_the_object_store_uploads_wait(gateway: Gateway) -> None:
    folder = gateway.settings.shutterlog_home / "data" / "media"
    ada = await gateway.person()
    key: Any = {"Idempotency-Key": uuid.uuid4().hex}
    assert (await gateway.upload(ada)).status_code == 201
    folder.rename(folder.with_name("elsewhere"))
    try:
        assert is_away(await soon(gateway.upload(ada, **key)))
        assert (await feed(gateway, ada)).status_code == 200
        assert await ready_without(gateway) == (200, {"objects"})
    finally:
        folder.with_name("elsewhere").rename(folder)
    heard = len(gateway.said)
    answers = [await gateway.upload(ada, **key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len({event.event_id for event in gateway.said[heard:]}) == 1
