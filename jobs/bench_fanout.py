"""``shutterlog bench fanout``: deliveries/s into full feeds, through the sink and its scripts, beside redis-benchmark.

The design's setting: 20,000 people, 200 authors with 400 followers in the mean, feeds full at ``FEED_CAP``, batches of
500 posts. Every person follows four authors, and each post's author is drawn anew, so that feeds are trimmed at
different times.
The yardstick is one plain ZADD a request, by a C client with 50 connections, on the same Redis and in turn.
"""

from __future__ import annotations

import asyncio
import csv
import random
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jobs.bench_scene import AT, free_database, middle
from schemas.ids import snowflake
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_reader import HomeFeedReader
from sinks.redis import Redis, connect
from sinks.settings import Settings
from streams.buckets import bucket_of
from streams.home_feed import FanOut, FeedWrite, Follow
from streams.records import Span, TopicPartition
from streams.views import Mark

PEOPLE, AUTHORS, FOLLOWING = 20_000, 200, 4
BATCH, BATCHES, ALONE = 500, 20, 200
"""Posts in a batch, batches in a sample, and posts that are sent one at a time."""
REQUESTS = 2_000_000
_FILL_BATCH = 2000
_CHECKED = 100
_TOPIC_IDS = {"posts": "bench", "graph": "bench"}


class NoYardstick(RuntimeError):
    """redis-benchmark is not there, or does not answer."""


class Crowd:
    """People, and authors with ``people * FOLLOWING / authors`` followers each in the mean, in an empty database."""

    def __init__(self, settings: Settings, redis: Redis, people: int, authors: int) -> None:
        self._settings, self._redis = settings, redis
        self._chance = random.Random(1)  # noqa: S311
        self.people = [snowflake(AT + n // 4000, 1, n % 4000) for n in range(people)]
        self.authors = [snowflake(AT + n, 2, 0) for n in range(authors)]
        self.followers: dict[int, set[int]] = {author: set() for author in self.authors}
        for person in self.people:
            for author in self._chance.sample(self.authors, FOLLOWING):
                self.followers[author].add(person)
        self._reached: dict[TopicPartition, int] = {}
        self._newest: dict[int, int] = {}
        self._posts = 0
        buckets = RedisBuckets(
            redis,
            _TOPIC_IDS,
            generation=1,
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
        )
        self._sink = HomeFeedSink(
            buckets, _TOPIC_IDS, count=settings.buckets, pull_threshold=max(people, settings.pull_threshold) + 1
        )

    def _mark(self, topic: str, author: int) -> Mark:
        tp = TopicPartition(topic, self.authors.index(author) % self._settings.partitions)
        self._reached[tp] = self._reached.get(tp, -1) + 1
        return Mark(tp, self._reached[tp])

    async def _apply(self, writes: Sequence[FeedWrite]) -> None:
        last: dict[TopicPartition, int] = {}
        count: dict[TopicPartition, int] = {}
        for write in writes:
            last[write.mark.tp] = write.mark.offset
            count[write.mark.tp] = count.get(write.mark.tp, 0) + 1
        await self._sink.apply(writes, {tp: Span(end - count[tp], end) for tp, end in last.items()})

    async def follow(self) -> None:
        """Everybody follows."""
        follows = [(follower, author) for author, followers in self.followers.items() for follower in followers]
        for start in range(0, len(follows), _FILL_BATCH):
            some = follows[start : start + _FILL_BATCH]
            await self._apply([Follow(self._mark("graph", author), follower, author) for follower, author in some])

    async def publish(self, posts: int, batch: int) -> float:
        """Deliver ``posts`` posts in batches of ``batch``; deliveries/s."""
        batches: list[list[FeedWrite]] = []
        deliveries = 0
        for start in range(0, posts, batch):
            writes: list[FeedWrite] = []
            for _ in range(min(batch, posts - start)):
                author = self._chance.choice(self.authors)
                post = snowflake(AT + 60_000 + self._posts // 100, 3, self._posts % 100)
                self._posts += 1
                self._newest[author] = post
                deliveries += len(self.followers[author])
                writes.append(FanOut(self._mark("posts", author), author, post))
            batches.append(writes)
        began = time.perf_counter()
        for writes in batches:
            await self._apply(writes)
        return deliveries / (time.perf_counter() - began)

    async def check(self) -> None:
        """Raise where a feed is not full, or does not begin with the newest post that belongs there."""
        reader = HomeFeedReader(self._redis, generation=1, buckets=self._settings.buckets)
        some = self._chance.sample(self.people, min(_CHECKED, len(self.people)))
        for person, skeleton in (await reader.skeletons(some)).items():
            newest = max(self._newest.get(a, 0) for a, followers in self.followers.items() if person in followers)
            if len(skeleton.ids) < self._settings.feed_cap or skeleton.ids[0] != newest:
                raise ValueError(f"the feed of {person} has {len(skeleton.ids)} posts up to {skeleton.ids[:1]}")

    async def bytes_per_entry(self) -> float:
        """Redis's memory for feeds and floors, keys and their overhead included, over the entries of all feeds."""
        buckets = self._settings.buckets
        pipeline = self._redis.pipeline(transaction=False)
        for person in self.people:
            key = f"hf1:{{{bucket_of(person, buckets)}}}:h:{person}"
            pipeline.memory_usage(key, samples=0)
            pipeline.llen(key)
        for bucket in range(buckets):
            pipeline.memory_usage(f"hf1:{{{bucket}}}:floors", samples=0)
        answers = await pipeline.execute()
        feeds, floors = answers[: 2 * len(self.people)], answers[2 * len(self.people) :]
        return float((sum(filter(None, feeds[0::2])) + sum(filter(None, floors))) / sum(feeds[1::2]))


def run(
    samples: int = 3,
    people: int = PEOPLE,
    authors: int = AUTHORS,
    batches: int = BATCHES,
    requests: int = REQUESTS,
) -> dict[str, Any]:
    """Measure ``samples`` rounds, the sink and redis-benchmark in turn. ``figure`` and ``yardstick`` are per second."""
    return asyncio.run(_run(samples, people, authors, batches, requests))


async def _run(samples: int, people: int, authors: int, batches: int, requests: int) -> dict[str, Any]:
    ours: list[float] = []
    theirs: list[float] = []
    async with _empty_database(Settings()) as (settings, redis):
        await asyncio.to_thread(zadds, settings.redis_url, 1000)
        crowd = Crowd(settings, redis, people, authors)
        await crowd.follow()
        full = settings.feed_cap + 2 * settings.feed_slack
        await crowd.publish(full * authors // FOLLOWING, _FILL_BATCH)
        for _ in range(samples):
            ours.append(await crowd.publish(batches * BATCH, BATCH))
            theirs.append(await asyncio.to_thread(zadds, settings.redis_url, requests))
        alone = await crowd.publish(ALONE, 1)
        await crowd.check()
        size = await crowd.bytes_per_entry()
    figure, yardstick = middle(ours), middle(theirs)
    return {
        "name": "fanout",
        "figure": round(figure),
        "unit": "deliveries/s",
        "yardstick": round(yardstick),
        "yardstick_name": f"redis-benchmark -t zadd -P 64 -c 50 -r 20000 -n {requests}, requests/s",
        "ratio": round(figure / yardstick, 2),
        "samples": samples,
        "each": [round(rate) for rate in ours],
        "yardstick_each": [round(rate) for rate in theirs],
        "bytes_per_entry": round(size, 2),
        "one_at_a_time": round(alone),
        "people": people,
        "authors": authors,
        "followers": round(sum(map(len, crowd.followers.values())) / authors),
        "batch": BATCH,
    }


@asynccontextmanager
async def _empty_database(settings: Settings) -> AsyncIterator[tuple[Settings, Redis]]:
    url = await free_database(settings.redis_url)
    redis = connect(url, seconds=120)
    try:
        yield settings.model_copy(update={"redis_url": url}), redis
    finally:
        await redis.flushdb()
        await redis.aclose()


def zadds(url: str, requests: int) -> float:
    """ZADD requests/s of redis-benchmark, into a set of its own. Raises ``NoYardstick``."""
    program = shutil.which("redis-benchmark")
    if program is None:
        raise NoYardstick("redis-benchmark is not installed: it comes with the Debian package redis-tools")
    parts = urlsplit(url)
    command = [program, "-h", parts.hostname or "127.0.0.1", "-p", str(parts.port or 6379)]
    command += ["--dbnum", parts.path.strip("/") or "0", "--csv"]
    command += ["-t", "zadd", "-P", "64", "-c", "50", "-r", "20000", "-n", str(requests)]
    if parts.username:
        command += ["--user", parts.username]
    if parts.password:
        command += ["-a", parts.password]
    if parts.scheme == "rediss":
        command += [
            "--tls",
            *(word for ca in parse_qs(parts.query).get("ssl_ca_certs", ()) for word in ("--cacert", ca)),
        ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    for row in csv.reader(answer.stdout.splitlines()):
        if row and row[0].startswith("ZADD"):
            return float(row[1])
    raise NoYardstick(f"redis-benchmark gave no figure: {answer.stdout[-500:]}{answer.stderr[-500:]}")
