"""What the benches of the home feed stand on: a small world of its own, and the real agent as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from confluent_kafka.admin import AdminClient

from jobs.graphs import make_graph
from schemas.events import Event, Followed, PostPublished, RenderedMedia, Rendition, Source, StoryPublished
from schemas.ids import snowflake
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import HOME_FEEDS, PUSH, STATE, TRAYS, Feeds, RedisBuckets
from sinks.producer import Producer
from sinks.redis import connect, reaching_redis
from sinks.settings import Settings
from sinks.topics import Topics
from streams.home_feed import HOME_FEED
from streams.records import Record, Span, TopicPartition
from streams.story_tray import STORY_TRAY

AT = 1_700_000_000_000
PEOPLE, FOLLOWING = 4_000, 50
"""Everybody posts, and follows up to so many others, by a power law both ways: with repeated pairs left out each has
some 35 followers in the mean, near to the 43.7 of SNAP's ego-Facebook. Feeds then fill, and are trimmed, at different
times."""
_AGENT_SECONDS = 60.0
_POLL_SECONDS = 0.02


class AgentAway(RuntimeError):
    """The agent process does not come up, or has ended."""


class Scene:
    """Topics and a Redis database of one bench, and a graph of so many people, whose home feeds or story trays are
    filled."""

    def __init__(
        self,
        settings: Settings,
        client: redis.asyncio.Redis,
        folder: Path,
        people: int = PEOPLE,
        feeds: Feeds = HOME_FEEDS,
    ) -> None:
        self.settings, self.redis, self._folder, self._feeds = settings, client, folder, feeds
        self.people = [snowflake(AT + n // 4000, 1, n % 4000) for n in range(people)]
        self._topic_ids = Topics(settings).ids()
        self.graph = make_graph(people, seed=1, mean_following=FOLLOWING)
        self.followers: dict[int, list[int]] = {person: [] for person in self.people}
        for a, b in zip(self.graph.followers.tolist(), self.graph.followees.tolist(), strict=True):
            self.followers[self.people[b]].append(self.people[a])

    @property
    def mean_followers(self) -> float:
        """Deliveries of a post, in the mean: everybody posts as often as everybody else."""
        return len(self.graph) / len(self.people)

    def publication(self, number: int) -> PostPublished:
        """The ``number``-th post, of the size that a post with one picture has."""
        author = self.people[number * 7919 % len(self.people)]
        post_id = snowflake(AT + 60_000 + number // 100, 2, number % 100)
        sizes = (1080, 640, 480, 320, 150)
        renditions = [Rendition(size, size, size * 3 // 4, f"r/0a/{post_id:064d}.jpg", size * 90) for size in sizes]
        media = RenderedMedia(post_id, 4000, 3000, "LEHV6nWB2yk8pyo0adR*.7kCMdnj", "#7f8081", renditions)
        said: dict[str, Any] = {"event_id": post_id, "at": AT, "actor_id": author, "author_id": author}
        said["source"] = Source(topic="media", partition=1, offset=number, n=0)
        return PostPublished(**said, post_id=post_id, media=[media])

    def story(self, number: int) -> StoryPublished:
        """The ``number``-th story: a post's picture."""
        post = self.publication(number)
        said: dict[str, Any] = {"event_id": post.event_id, "at": AT, "actor_id": post.author_id, "source": post.source}
        return StoryPublished(**said, story_id=post.post_id, author_id=post.author_id, media=post.media[0])

    async def publish(self, count: int) -> None:
        """Fill the topic ``posts``, or ``stories``."""
        made: Callable[[int], Event] = self.story if self._feeds is TRAYS else self.publication
        async with Producer(self.settings, timeout_seconds=60, linger_ms=20) as producer:
            for start in range(0, count, 5000):
                await producer.produce_many([made(n) for n in range(start, min(start + 5000, count))])

    async def follow(self) -> None:
        """Write the graph to the log, and apply it as the agent would: it then begins with posts alone."""
        events: list[Event] = [
            Followed(event_id=author, at=AT, actor_id=follower, follower_id=follower, followee_id=author)
            for author, followers in self.followers.items()
            for follower in followers
        ]
        sink = self.sink()
        reached: dict[TopicPartition, int] = {}
        async with Producer(self.settings, timeout_seconds=60, linger_ms=20) as producer:
            for start in range(0, len(events), 5000):
                written = await producer.produce_many(events[start : start + 5000])
                records = [Record(*place, AT, event) for place, event in zip(written, events[start:], strict=False)]
                last: dict[TopicPartition, int] = {}
                for tp, offset in written:
                    last[tp] = max(offset, last.get(tp, -1))
                await sink.apply(
                    (STORY_TRAY if self._feeds is TRAYS else HOME_FEED).project(records),
                    {tp: Span(reached.get(tp, -1), end) for tp, end in last.items()},
                )
                reached.update(last)

    async def forget_posts(self) -> None:
        """Empty timelines and feeds, and take the fences of what is published back; the graph stays."""
        pipeline = self.redis.pipeline(transaction=False)
        posts = self._feeds.posts
        async for key in self.redis.scan_iter(match=f"{self._feeds.prefix}1:*:[htpd]:*", count=5000):
            pipeline.unlink(key)
        for bucket in range(self.settings.buckets):
            prefix = f"{self._feeds.prefix}1:{{{bucket}}}:"
            pipeline.unlink(prefix + "floors", prefix + "pulled", prefix + "big")
            for n in range(self.settings.partitions):
                pipeline.hdel(prefix + "fences", f"{STATE}:{posts}-{n}", f"{PUSH}:{posts}-{n}")
        await pipeline.execute()

    def buckets(self) -> RedisBuckets:
        """The real store."""
        cap, slack = bounds(self.settings, self._feeds)
        return RedisBuckets(
            self.redis,
            self._topic_ids,
            generation=1,
            buckets=self.settings.buckets,
            cap=cap,
            slack=slack,
            feeds=self._feeds,
        )

    def sink(self) -> HomeFeedSink:
        """The real sink."""
        settings = self.settings
        return HomeFeedSink(
            self.buckets(),
            self._topic_ids,
            count=settings.buckets,
            pull_threshold=settings.pull_threshold,
            feeds=self._feeds,
        )

    async def applied(self) -> int:
        """How many records of what is published are in the feeds, by the lowest fence of each partition."""
        stored = await self.buckets().fences()
        return sum(
            min(bucket.get(f"{PUSH}:{TopicPartition(self._feeds.posts, n)}", (-1, ""))[0] for bucket in stored) + 1
            for n in range(self.settings.partitions)
        )

    @asynccontextmanager
    async def agent(self, *groups: str) -> AsyncIterator[Agent]:
        """``python -m agents`` of ``groups`` (home_feed without any), ended with the block."""
        settings = self.settings
        environment = {
            **os.environ,
            "SHUTTERLOG_HOME": str(self._folder),
            **settings.store_variables,
            "CASSANDRA_KEYSPACE": settings.cassandra_keyspace,
            "TOPIC_PREFIX": settings.topic_prefix,
            "SHUTTERLOG_SLOT": uuid.uuid4().hex[:8],
        }
        log = self._folder / "agent.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", "agents", *(groups or ("home_feed",))]
            running = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
        try:
            yield Agent(running, log)
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(running.wait, 20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def bounds(settings: Settings, feeds: Feeds) -> tuple[int, int]:
    """How many entries a feed holds, and how many more before it is trimmed."""
    return (settings.tray_cap, settings.tray_slack) if feeds is TRAYS else (settings.feed_cap, settings.feed_slack)


class Agent:
    """The running agent process."""

    def __init__(self, running: subprocess.Popen[bytes], log: Path) -> None:
        self._running, self._log = running, log
        self._deadline = time.monotonic() + _AGENT_SECONDS

    def check(self, moved: bool) -> None:
        """Raise ``AgentAway`` where it has ended, or does not move anything for a minute."""
        if moved:
            self._deadline = time.monotonic() + _AGENT_SECONDS
        ended = self._running.poll()
        if ended is not None or time.monotonic() > self._deadline:
            tail = self._log.read_text(errors="replace")[-2000:]
            raise AgentAway(f"the agent {'ended' if ended is not None else 'stands still'}: {tail}")


async def rate_of(agents: Sequence[Agent], events: int, applied: Callable[[], Awaitable[int]], after: int = 1) -> float:
    """Events/s over prefilled topics: what was applied after the batch with the event number ``after``, by the time
    this took. ``applied`` says how many of the ``events`` are. Raises ``AgentAway``, and ``ValueError`` where all were
    applied in one go."""
    first, began, done = 0, 0.0, 0
    while done < events:
        now = await applied()
        for agent in agents:
            agent.check(now > done)
        done = now
        if done >= after and not first:
            first, began = done, time.perf_counter()
        await asyncio.sleep(_POLL_SECONDS)
    took = time.perf_counter() - began
    if first >= events:
        raise ValueError(f"{events} events are too few: the agents applied them in one go")
    return (events - first) / took


@asynccontextmanager
async def opened(settings: Settings, people: int = PEOPLE, feeds: Feeds = HOME_FEEDS) -> AsyncIterator[Scene]:
    """A scene with topics and a Redis database of its own, which are removed afterwards."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    url = await free_database(settings.redis_url)
    own = settings.model_copy(update={"topic_prefix": prefix, "redis_url": url})
    topics = Topics(own)
    client = connect(url, seconds=60)
    with tempfile.TemporaryDirectory(prefix="shutterlog-bench-") as folder:
        try:
            await asyncio.to_thread(topics.provision)
            yield Scene(own.model_copy(update={"shutterlog_home": Path(folder)}), client, Path(folder), people, feeds)
        finally:
            await client.flushdb()
            await client.aclose()
            admin = AdminClient(own.kafka_client)
            for deleted in admin.delete_topics([own.topic(name) for name in topics.names()]).values():
                await asyncio.to_thread(deleted.result)


async def free_database(url: str) -> str:
    """The last logical database that holds nothing, so that nobody's data is touched. Raises ``StoreAway``."""
    parts = urlsplit(url)
    keeper = connect(url)
    try:
        async with reaching_redis():
            count = int(str((await keeper.config_get("databases"))["databases"]))
    finally:
        await keeper.aclose()
    for candidate in range(count - 1, 0, -1):
        own = parts._replace(path=f"/{candidate}").geturl()
        client = connect(own)
        try:
            if not await client.dbsize():
                return own
        finally:
            await client.aclose()
    raise RuntimeError("every logical database of this Redis holds something; a bench needs an empty one")


def middle(values: Sequence[float]) -> float:
    """The median."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def compared(event: str, unit: str, by_hand: str, ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """What each ``bench pipeline`` reports: events/s of the agent, ``ours``, and of the loop ``by_hand``."""
    figure, yardstick = middle(ours), middle(theirs)
    return {
        "name": "pipeline",
        "event": event,
        "figure": round(figure),
        "unit": f"{unit} events/s",
        "yardstick": round(yardstick),
        "yardstick_name": f"a loop by hand: confluent-kafka, fastavro, {by_hand}; no fences",
        "ratio": round(figure / yardstick, 2),
        "samples": len(ours),
        "each": [round(rate) for rate in ours],
        "yardstick_each": [round(rate) for rate in theirs],
    }
