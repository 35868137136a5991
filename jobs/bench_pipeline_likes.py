"""``shutterlog bench pipeline --event like``: likes through the real agent process, beside a loop written by hand.

The agent is ``python -m agents counters``, measured over a prefilled topic from the first move of its fences to the
last. The yardstick is confluent-kafka, fastavro and redis-py: the last word of each pair in a batch, then one SADD and
one SREM for each post in one pipeline, without fences, shards or any memory of what was deleted.
"""

from __future__ import annotations

import asyncio
import io
import random
import time
import uuid
from typing import Any

import fastavro
import redis
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.bench_scene import AT, Scene, middle, opened
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
_HEAD = 5
"""Bytes of Confluent's framing."""
_POLL_SECONDS = 0.02


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
    figure, yardstick = middle(ours), middle(theirs)
    return {
        "name": "pipeline",
        "event": "like",
        "figure": round(figure),
        "unit": "PostLiked and PostUnliked events/s",
        "yardstick": round(yardstick),
        "yardstick_name": "a loop by hand: confluent-kafka, fastavro, one SADD and SREM a post and batch; no fences",
        "ratio": round(figure / yardstick, 2),
        "samples": samples,
        "each": [round(rate) for rate in ours],
        "yardstick_each": [round(rate) for rate in theirs],
        "people": PEOPLE,
        "posts": POSTS,
        "events": events,
    }


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
    """Events/s of the agent: what it applied after its first batch, by the time this took."""
    settings = scene.settings
    sink = CounterSink(scene.redis, Topics(settings).ids(), generation=1, buckets=settings.buckets)
    partitions = [TopicPartition("engagement", n) for n in range(settings.partitions)]
    async with scene.agent(COUNTED.name) as agent:
        first, began, applied = 0, 0.0, 0
        while applied < events:
            now = sum(offset + 1 for offset in (await sink.fences(partitions)).values())
            agent.check(now > applied)
            applied = now
            if applied and not first:
                first, began = applied, time.perf_counter()
            await asyncio.sleep(_POLL_SECONDS)
        took = time.perf_counter() - began
    if first >= events:
        raise ValueError(f"{events} events are too few: the agent applied them in one go")
    return (events - first) / took


def drain(settings: Settings, events: int) -> float:
    """Read ``events`` likes and unlikes from the start of ``engagement`` into sets; events/s after the first batch."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": f"{settings.topic_prefix}by-hand-{uuid.uuid4().hex[:8]}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    schemas: dict[int, tuple[Any, bool]] = {}
    for name in ("PostLiked", "PostUnliked"):
        newest = locked().subjects[subject("engagement", name)][-1]
        schemas[newest.id] = fastavro.parse_schema(runtime(newest.schema)), name == "PostLiked"
    client = redis.Redis.from_url(settings.redis_url, protocol=2)
    consumer.assign([KafkaPartition(settings.topic("engagement"), n, 0) for n in range(settings.partitions)])
    done = first = 0
    began = last = time.perf_counter()
    try:
        while done < events:
            messages = consumer.consume(settings.batch_events, timeout=settings.batch_wait_seconds)
            said: dict[tuple[int, int], bool] = {}
            for message in messages:
                value = message.value() or b""
                schema, likes = schemas[int.from_bytes(value[1:_HEAD], "big")]
                body = io.BytesIO(value)
                body.seek(_HEAD)
                event: Any = fastavro.schemaless_reader(body, schema, None)
                said[event["post_id"], event["actor_id"]] = likes
            if messages:
                _write(client, said)
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
        client.close()


def _write(client: redis.Redis, said: dict[tuple[int, int], bool]) -> None:
    sets: dict[tuple[int, bool], list[int]] = {}
    for (post, user), likes in said.items():
        sets.setdefault((post, likes), []).append(user)
    pipeline = client.pipeline(transaction=False)
    for (post, likes), users in sets.items():
        (pipeline.sadd if likes else pipeline.srem)(f"likes:{post}", *users)
    pipeline.execute()
