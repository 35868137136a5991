"""Yardsticks of the home feed's benches: loops as one would write them by hand, without fences or a second pass."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import fastavro
import redis
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.bench_scene import bounds
from schemas.declared import runtime, subject
from schemas.lock import locked
from sinks.home_feed_buckets import HOME_FEEDS, TRAYS, Feeds
from sinks.settings import Settings
from streams.buckets import bucket_of

HEAD = 5
"""Bytes of Confluent's framing."""

_FAN_OUT = """
local prefix, cap, slack = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 3, #ARGV, 3 do
  local author, post, home = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if home == '1' and redis.call('LPUSH', prefix .. 't:' .. author, post) > cap + slack then
    redis.call('LTRIM', prefix .. 't:' .. author, 0, cap - 1)
  end
  for _, follower in ipairs(redis.call('SMEMBERS', prefix .. 'f:' .. author)) do
    local feed = prefix .. 'h:' .. follower
    if redis.call('LPUSH', feed, post) > cap + slack then
      redis.call('HSET', prefix .. 'floors', follower, redis.call('LINDEX', feed, cap))
      redis.call('LTRIM', feed, 0, cap - 1)
    end
  end
end
"""


class Writer(Protocol):
    """Puts published posts into feeds, or stories into trays."""

    def __init__(self, settings: Settings, client: redis.Redis, feeds: Feeds) -> None: ...

    def write(self, posts: Sequence[tuple[int, int]]) -> None:
        """Put each (author, post) on the author's timeline and into the followers' feeds."""


class ByLua:
    """One script call for each bucket and batch."""

    def __init__(self, settings: Settings, client: redis.Redis, feeds: Feeds) -> None:
        self._settings, self._redis, self._feeds = settings, client, feeds
        self._script: Any = client.script_load(_FAN_OUT)

    def write(self, posts: Sequence[tuple[int, int]]) -> None:
        """See ``Writer``."""
        settings = self._settings
        homes = [bucket_of(author, settings.buckets) for author, _ in posts]
        pipeline = self._redis.pipeline(transaction=False)
        for bucket in range(settings.buckets):
            arguments: list[int] = [*bounds(settings, self._feeds)]
            for (author, post), home in zip(posts, homes, strict=True):
                arguments += (author, post, int(home == bucket))
            pipeline.evalsha(self._script, 1, f"{self._feeds.prefix}1:{{{bucket}}}:", *arguments)
        pipeline.execute()


class ByCommands:
    """A pipeline of commands for each batch; whom an author's posts go to is asked once and remembered."""

    def __init__(self, settings: Settings, client: redis.Redis, feeds: Feeds) -> None:
        self._settings, self._redis, self._prefix = settings, client, f"{feeds.prefix}1"
        self._last = bounds(settings, feeds)[0] - 1
        self._feeds: dict[int, list[str]] = {}

    def write(self, posts: Sequence[tuple[int, int]]) -> None:
        """See ``Writer``."""
        pipeline = self._redis.pipeline(transaction=False)
        for author, post in posts:
            for key in (self._timeline(author), *self._feeds_of(author)):
                pipeline.lpush(key, post)
                pipeline.ltrim(key, 0, self._last)
        pipeline.execute()

    def _timeline(self, author: int) -> str:
        return f"{self._prefix}:{{{bucket_of(author, self._settings.buckets)}}}:t:{author}"

    def _feeds_of(self, author: int) -> list[str]:
        if author not in self._feeds:
            self._feeds[author] = [
                f"{self._prefix}:{{{bucket}}}:h:{int(follower)}"
                for bucket in range(self._settings.buckets)
                for follower in self._redis.smembers(f"{self._prefix}:{{{bucket}}}:f:{author}")
            ]
        return self._feeds[author]


def drain(settings: Settings, kind: type[Writer], events: int, feeds: Feeds = HOME_FEEDS) -> float:
    """Read ``events`` PostPublished from the start of ``posts`` into feeds, or StoryPublished from that of ``stories``
    into trays; events/s after the first batch."""
    name, post = ("StoryPublished", "story_id") if feeds is TRAYS else ("PostPublished", "post_id")
    newest = locked().subjects[subject(feeds.posts, name)][-1]
    schema = fastavro.parse_schema(runtime(newest.schema))
    client = redis.Redis.from_url(settings.redis_url, protocol=2)
    writer = kind(settings, client, feeds)

    def take(values: Sequence[bytes]) -> None:
        found = [body_of(value, schema) for value in values]
        writer.write([(event["author_id"], event[post]) for event in found])

    try:
        return consumed(settings, feeds.posts, events, take)
    finally:
        client.close()


def body_of(value: bytes, schema: Any) -> Any:
    """The fields of a record, behind the framing."""
    body = io.BytesIO(value)
    body.seek(HEAD)
    return fastavro.schemaless_reader(body, schema, None)


def consumed(
    settings: Settings, topic: str, events: int, take: Callable[[Sequence[bytes]], None], at_once: int = 0
) -> float:
    """Read ``events`` from the start of ``topic``, batch by batch, committing after each; events/s after the first.
    A batch has ``at_once`` records at most, or ``BATCH_EVENTS`` of the settings."""
    consumer = Consumer(
        {
            **settings.kafka_client,
            "group.id": f"{settings.topic_prefix}by-hand-{uuid.uuid4().hex[:8]}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([KafkaPartition(settings.topic(topic), n, 0) for n in range(settings.partitions)])
    done = first = 0
    began = last = time.perf_counter()
    try:
        while done < events:
            messages = consumer.consume(at_once or settings.batch_events, timeout=settings.batch_wait_seconds)
            if messages:
                take([message.value() or b"" for message in messages])
                consumer.commit(asynchronous=True)
                last = time.perf_counter()
            elif time.perf_counter() - last > 30:
                raise TimeoutError("Kafka gave no record for 30 s")
            done += len(messages)
            if done and not first:
                first, began = done, time.perf_counter()
        return (done - first) / (time.perf_counter() - began)
    finally:
        consumer.close()
