"""Real workers on real stores: killed, paused, cut off from their Redis, and told to go."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import httpx
import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from agents.worker import EXIT_FAILED
from jobs.services.home import Home
from jobs.services.supervisor import Supervisor
from sinks.errors import StoreAway
from sinks.generations import GenerationLog, Generations, now_ms
from sinks.producer import Outgoing, Producer
from sinks.redis import reaching_redis
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import TopicPartition
from tests.agents.conftest import SMALL
from tests.agents.feed_world import FeedWorld
from tests.agents.workers import Workers, until


async def test_events_reach_feeds_and_a_worker_leaves_when_told(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    worker = workers.start(small, "home_feed")
    ada, bob, eve = world.people[:3]
    await world.say([world.followed(bob, ada), world.followed(eve, ada), world.followed(bob, eve)])
    posts = [world.published(ada, 900), world.published(eve, 901)]
    ((_, first), (tp, second)) = await world.say(posts)
    assert first >= 0

    async def reached() -> bool:
        return await world.reader.fence(bob, tp) >= second

    await until("the feed of bob has both posts", reached)
    await world.settles()
    assert (await world.reader.skeleton(bob)).ids == [post.post_id for post in reversed(posts)]
    assert (await world.reader.skeleton(eve)).ids == [posts[0].post_id]

    await world.live(300)
    await world.settles()
    assert await world.differences() == []

    port = (await worker.says(r"metrics on port (\d+)"))[1]
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'shutterlog_records_total{view="home_feed"} 305.0' in metrics

    began = time.monotonic()
    worker.send(signal.SIGTERM)
    assert await worker.ends() == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in worker.said


async def test_poison_is_kept_in_the_dlq_and_holds_nobody_up(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    worker = workers.start(small, "home_feed")
    ada, bob = world.people[:2]
    await world.say([world.followed(bob, ada), world.published(ada, 1)])
    ((tp, offset),) = await says(small, Outgoing("posts", b"%d" % ada, b"\x00\x00not an event"))
    after = world.published(ada, 2)
    # A view refuses this one: it decodes, and says what cannot be.
    ((refused_tp, refused_at), _) = await world.say([world.followed(bob, bob), after])
    await world.settles()
    assert (await world.reader.skeleton(bob)).ids[0] == after.post_id
    assert worker.process.poll() is None

    (dead,) = read_all(small, "posts.dlq")
    headers = headers_of(dead)
    assert (dead.key(), dead.value()) == (b"%d" % ada, b"\x00\x00not an event")
    assert (headers["topic"], headers["partition"], headers["offset"]) == ("posts", str(tp.partition), str(offset))
    assert (headers["view"], headers["tries"]) == ("", "1")
    assert headers["error"]
    (refused,) = read_all(small, "graph.dlq")
    headers = headers_of(refused)
    assert (headers["view"], headers["topic"], headers["generation"]) == ("home_feed", "graph", "1")
    assert (headers["partition"], headers["offset"]) == (str(refused_tp.partition), str(refused_at))
    assert "cannot follow themselves" in headers["error"]


async def test_a_flood_of_poison_halts_its_view_and_not_the_worker(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    worker = workers.start(small, "home_feed")
    ada, bob = world.people[:2]
    await world.say([world.followed(bob, ada), world.published(ada, 1)])
    await world.settles()
    ((tp, first), *_) = await says(small, *[Outgoing("posts", b"%d" % ada, b"no event")] * 300)
    await worker.says(r"home_feed is halted, and stays so .*: 101 records in a row are poison")
    assert await world.reader.fence(ada, tp) <= first + 100
    assert len(read_all(small, "posts.dlq")) == 100

    port = (await worker.says(r"metrics on port (\d+)"))[1]
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'shutterlog_delivery_events_total{view="home_feed",what="halted"} 1.0' in metrics
    worker.send(signal.SIGTERM)
    assert await worker.ends() == 0
    assert len(read_all(small, "posts.dlq")) == 100


async def says(settings: Settings, *outgoing: Outgoing) -> list[tuple[TopicPartition, int]]:
    """Write raw records; where each stands."""
    async with Producer(settings) as producer:
        return await producer.write(outgoing)


async def test_a_kill_in_the_middle_and_a_worker_more_lose_nothing(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    await world.live(200)
    one, two = (workers.start(small, "home_feed", slot=slot) for slot in "ab")
    for worker in (one, two):
        await worker.says("home_feed: assigned [a-z]")
    said = 200
    for victim, newcomer in ((one, "c"), (two, "a")):
        living = asyncio.create_task(world.live(450))
        await world.applies(said + 100)
        await victim.kill()
        workers.start(small, "home_feed", slot=newcomer)
        await living
        # The rest comes after the kill, which so was in the middle.
        await world.live(450)
        said += 900
    await world.settles()
    assert await world.differences() == []


async def test_a_zombie_does_no_harm(small: Settings, world: FeedWorld, workers: Workers) -> None:
    zombie, other = (workers.start(small, "home_feed", slot=slot) for slot in "ab")
    for worker in (zombie, other):
        await worker.says("home_feed: assigned [a-z]")
    await world.live(200)
    living = asyncio.create_task(world.live(800))
    await world.applies(300)
    taken_over = other.said.count("home_feed: assigned ")
    zombie.send(signal.SIGSTOP)
    await living
    # Its session times out, and the other one gets all that it held.
    await other.says("home_feed: assigned ", times=taken_over + 1)
    await world.settles()
    assert await world.differences() == []
    await world.live(200)
    back = zombie.said.count("home_feed: assigned ")
    zombie.send(signal.SIGCONT)
    await world.live(200)
    await zombie.says("home_feed: assigned ", times=back + 1)
    await world.live(100)
    await world.settles()
    assert await world.differences() == []
    assert zombie.process.poll() is None


async def test_a_flushed_redis_heals_by_itself(small: Settings, world: FeedWorld, workers: Workers) -> None:
    worker = workers.start(small, "home_feed")
    living = asyncio.create_task(world.live(1500))
    await world.applies(400)
    await world.redis.flushdb()
    await living
    await world.settles()
    assert await world.differences() == []
    # On a quiet log, too: the idle call notices.
    healed = worker.said.count("a fence went back")
    assert healed
    await world.redis.flushdb()
    await worker.says("a fence went back", times=healed + 1)
    await world.settles()
    assert await world.differences() == []
    assert worker.process.poll() is None


@pytest.fixture
def redis_of_ones_own(
    own_services: Callable[..., Settings], settings: Settings
) -> Iterator[tuple[Settings, Supervisor]]:
    """Settings of a small world on a Redis that the test may kill, and who can stop and start it."""
    own = own_services("redis")
    world = settings.model_copy(update={**SMALL, "redis_url": own.redis_url})
    yield world, Supervisor(Home.at(own.shutterlog_home))


async def test_a_redis_that_is_away_is_waited_for(
    redis_of_ones_own: tuple[Settings, Supervisor],
    open_world: Callable[[Settings], Awaitable[FeedWorld]],
    workers: Workers,
) -> None:
    settings, supervisor = redis_of_ones_own
    world = await open_world(settings)
    worker = workers.start(settings, "home_feed")
    await world.live(300)
    await world.settles()
    await asyncio.to_thread(supervisor.stop_program, "redis")
    await world.live(300)
    await worker.says("holding its partitions")
    await asyncio.to_thread(supervisor.start_program, "redis")
    await until("Redis answers", lambda: answers(world))
    await world.settles()
    assert await world.differences() == []

    # Killed under load, it may have lost its last second; its supervisor starts it again.
    living = asyncio.create_task(world.live(1000))
    await world.applies(800)
    pid = supervisor.states()["redis"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await living
    await until("Redis answers", lambda: answers(world))
    await world.settles()
    assert await world.differences() == []
    assert worker.process.poll() is None


async def answers(world: FeedWorld) -> bool:
    """Whether its Redis does."""
    try:
        async with reaching_redis():
            return bool(await world.redis.ping())
    except StoreAway:
        return False


async def test_a_worker_that_waits_for_its_stores_leaves_when_told(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    nobody = {"cassandra_hosts": "127.0.0.1:1", "redis_url": "redis://127.0.0.1:1/0"}
    away = small.model_copy(update=nobody)
    tables, feeds = workers.start(away, "follows", slot="a"), workers.start(away, "home_feed", slot="b")
    await tables.says("follows: waiting for its stores")
    await feeds.says("the fences cannot be read yet")
    for worker in (tables, feeds):
        worker.send(signal.SIGTERM)
    began = time.monotonic()
    assert [await worker.ends() for worker in (tables, feeds)] == [0, 0]
    assert time.monotonic() - began < 10


async def test_a_flip_is_followed_without_a_restart(small: Settings, world: FeedWorld, workers: Workers) -> None:
    one, two = (workers.start(small, "home_feed", slot=slot) for slot in "ab")
    for worker in (one, two):
        await worker.says("home_feed: assigned [a-z]")
    await world.live(300)
    await world.settles()
    log = GenerationLog(small)
    begun = Generations(view="home_feed").begun(now_ms())
    living = asyncio.create_task(world.live(600))
    await world.applies(400)
    await asyncio.to_thread(log.write, begun.flipped(2, now_ms()))
    await living
    for worker in (one, two):
        await worker.says("home_feed: goes on in generation 2")
    # Nobody built the new generation here: the agents begin it at its fences, which are none.
    world.looks_at(2)
    await world.live(100)
    await world.settles()
    assert await world.differences() == []
    # A call that was under way at the flip still lands, before its worker applies anything to the new generation.
    world.looks_at(1)
    left_at = await world.fences()
    world.looks_at(2)
    await world.live(50)
    await world.settles()

    async def said() -> bool:
        return await asyncio.to_thread(notes, small, "home_feed") == {"generation=2"}

    await until("the commits speak of generation 2", said)
    world.looks_at(1)
    assert await world.fences() == left_at, "nobody writes the generation that was left"
    # And back: it is brought up to date from where it was left.
    await asyncio.to_thread(log.write, begun.flipped(2, now_ms()).flipped(1, now_ms()))
    await world.settles()
    assert await world.differences() == []
    assert all(worker.process.poll() is None for worker in (one, two))
    # A worker that starts now asks for the live one.
    third = workers.start(small, "home_feed", slot="c")
    await third.says("home_feed: assigned [a-z]")
    await world.live(100)
    await world.settles()
    assert await world.differences() == []


def notes(settings: Settings, group: str) -> set[str]:
    """What the commits of ``group`` say besides offsets."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.topic(group)})
    try:
        asked = [KafkaPartition(settings.topic(t), p) for t in ("posts", "graph") for p in range(settings.partitions)]
        return {one.metadata or "" for one in consumer.committed(asked, timeout=15)}
    finally:
        consumer.close()


async def test_a_log_that_was_remade_ends_the_worker_with_a_word(
    small: Settings, world: FeedWorld, workers: Workers
) -> None:
    worker = workers.start(small, "home_feed")
    await world.live(100)
    await world.settles()
    worker.send(signal.SIGTERM)
    await worker.ends()
    remake(small, "posts")
    worker = workers.start(small, "home_feed")
    assert await worker.ends() == EXIT_FAILED
    assert "this worker ends: the home feed was built from another incarnation of topic posts" in worker.said


async def test_a_log_that_is_remade_under_a_worker_ends_it(small: Settings, world: FeedWorld, workers: Workers) -> None:
    """Also where the new log is soon longer than the old one was, so that no offset gives it away."""
    worker = workers.start(small, "home_feed")
    await world.live(100)
    await world.settles()
    await asyncio.to_thread(remake, small, "posts")
    async with Producer(small) as producer:
        await producer.produce_many([world.published(author, n) for n in range(60) for author in world.people[:12]])
    assert await worker.ends(60) == EXIT_FAILED
    assert re.search("this worker ends: .*(made again|another incarnation|no such offset)", worker.said)


def remake(settings: Settings, topic: str) -> None:
    """Delete a topic and make it again, empty."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    admin.delete_topics([settings.topic(topic)])[settings.topic(topic)].result()
    deadline = time.monotonic() + 15
    while topic not in Topics(settings).provision():
        assert time.monotonic() < deadline, "the topic is never gone"


def headers_of(message: Message) -> dict[str, str]:
    """The headers of a dead letter."""
    return {name: value.decode() for name, value in cast(list[tuple[str, bytes]], message.headers() or [])}


def read_all(settings: Settings, topic: str) -> list[Message]:
    """Every record of ``topic``."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.topic("test"), "enable.auto.commit": False}
    )
    try:
        name = settings.topic(topic)
        partitions = [KafkaPartition(name, n, 0) for n in range(settings.partitions)]
        wanted = sum(consumer.get_watermark_offsets(one, timeout=10)[1] for one in partitions)
        consumer.assign(partitions)
        found: list[Message] = []
        deadline = time.monotonic() + 15
        while len(found) < wanted and time.monotonic() < deadline:
            found += consumer.consume(100, timeout=0.5)
        return found
    finally:
        consumer.close()
