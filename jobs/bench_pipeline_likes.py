"""``shutterlog bench pipeline --event like``: likes through the real agent process, beside a loop written by hand.

The agent is ``python -m agents counters``, measured over a prefilled topic from the first move of its fences to the
last. The yardstick is confluent-kafka, fastavro and redis-py: the last word of each pair in a batch, then one SADD and
one SREM for each post in one pipeline, without fences, shards or any memory of what was deleted.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import fastavro
import redis

from jobs.bench_by_hand import HEAD, body_of, consumed
from jobs.bench_scene import AT, Scene, compared, opened, rate_of
from schemas.declared import runtime, subject
from schemas.events import PostLiked, PostUnliked
from schemas.ids import snowflake
from schemas.lock import locked
from sinks.counters import COUNTED, CounterSink
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import TopicPartition

EVENTS = 200_000
PEOPLE, POSTS = 4_000, 5_000
UNLIKES = 0.08
AT_ONCE = 4000
"""Records of a batch, for both: ``BATCH_EVENTS`` of the agent."""


def run(samples: int = 3, events: int = EVENTS) -> dict[str, object]:
    """Measure ``samples`` rounds, the agent and the yardstick in turn. ``figure`` and ``yardstick`` are events/s."""
    return asyncio.run(_run(samples, events))


async def _run(samples: int, events: int) -> dict[str, Any]:
    ours: list[float] = []
    theirs: list[float] = []
    async with opened(Settings(), PEOPLE) as scene:
        await _fill(scene, events)
        for _ in range(samples):
            await scene.redis.flushdb()  # a database of this bench's own
            ours.append(await _agent_rate(scene, events))
            await scene.redis.flushdb()
            theirs.append(await asyncio.to_thread(drain, scene.settings, events))
    by_hand = "one SADD and SREM a post and batch"
    report = compared("like", "PostLiked and PostUnliked", by_hand, ours, theirs)
    return report | {"people": PEOPLE, "posts": POSTS, "events": events}


async def _fill(scene: Scene, events: int) -> None:
    """Likes of posts whose popularity is a power law, and some unlikes."""
    chance = random.Random(1)  # noqa: S311
    posts = [snowflake(AT + 60_000 + n, 2, n % 4000) for n in range(POSTS)]
    async with Producer(scene.settings, timeout_seconds=60, linger_ms=20) as producer:
        for start in range(0, events, 5000):
            batch = []
            for number in range(start, min(start + 5000, events)):
                kind = PostUnliked if chance.random() < UNLIKES else PostLiked
                user, post = chance.choice(scene.people), int(POSTS * chance.random() ** 3)
                event_id = snowflake(AT + 120_000 + number // 4000, 3, number % 4000)
                author = scene.people[post % PEOPLE]
                batch.append(kind(event_id=event_id, at=AT, actor_id=user, post_id=posts[post], author_id=author))
            await producer.produce_many(batch)


async def _agent_rate(scene: Scene, events: int) -> float:
    """Events/s of the agent of the counters over the prefilled topic."""
    settings = scene.settings
    sink = CounterSink(scene.redis, Topics(settings).ids(), generation=1, buckets=settings.buckets)
    partitions = [TopicPartition("engagement", n) for n in range(settings.partitions)]

    async def applied() -> int:
        return sum(offset + 1 for offset in (await sink.fences(partitions)).values())

    async with scene.agent(COUNTED.name) as agent:
        return await rate_of([agent], events, applied)


def drain(settings: Settings, events: int) -> float:
    """Read ``events`` likes and unlikes from the start of ``engagement`` into sets; events/s after the first batch."""
    schemas: dict[int, tuple[Any, bool]] = {}
    for name in ("PostLiked", "PostUnliked"):
        newest = locked().subjects[subject("engagement", name)][-1]
        schemas[newest.id] = fastavro.parse_schema(runtime(newest.schema)), name == "PostLiked"
    client = redis.Redis.from_url(settings.redis_url, protocol=2)

    def take(values: Sequence[bytes]) -> None:
        said: dict[tuple[int, int], bool] = {}
        for value in values:
            schema, likes = schemas[int.from_bytes(value[1:HEAD], "big")]
            event = body_of(value, schema)
            said[event["post_id"], event["actor_id"]] = likes
        _write(client, said)

    try:
        return consumed(settings, "engagement", events, take, AT_ONCE)
    finally:
        client.close()


def _write(client: redis.Redis, said: dict[tuple[int, int], bool]) -> None:
    sets: dict[tuple[int, bool], list[int]] = {}
    for (post, user), likes in said.items():
        sets.setdefault((post, likes), []).append(user)
    pipeline = client.pipeline(transaction=False)
    for (post, likes), users in sets.items():
        (pipeline.sadd if likes else pipeline.srem)(f"likes:{post}", *users)
    pipeline.execute()
