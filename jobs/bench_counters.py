"""``shutterlog bench counters``: what a like takes in memory, keys included.

``figure`` is the worst of posts of 100 likes and more; beside it stand each size and a Zipf mix, in which most posts
have a few likes and a key of their own. The sink itself writes into an empty database, and what Redis says of each key
is added up. The yardstick is one plain set for each post, in the same database and measured alike.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from jobs.bench_scene import free_database
from schemas.ids import snowflake
from sinks.counters import CounterSink, prefix_of
from sinks.redis import Redis, connect
from sinks.settings import Settings
from streams.counters import LIKES, CountMembers
from streams.records import Span, TopicPartition
from streams.views import Mark

SIZES = (100, 150, 200, 201, 400, 1_000, 10_000, 100_000)
ZIPF_LIKES, ZIPF_POSTS = 200_000, 20_000
_TP = TopicPartition("engagement", 0)
_AT = 1_700_000_000_000
_BOOKKEEPING = ("fences", "history")
"""Keys of a bucket, however many likes there are."""
_BATCH = 5_000


def run(sizes: Sequence[int] = SIZES, zipf: tuple[int, int] = (ZIPF_LIKES, ZIPF_POSTS)) -> dict[str, object]:
    """``figure`` and ``yardstick`` are bytes per like; ``sizes`` likes a post, and (likes, posts) of the mix."""
    return asyncio.run(_run(sizes, zipf))


async def _run(sizes: Sequence[int], zipf: tuple[int, int]) -> dict[str, Any]:
    settings = Settings()
    client = connect(await free_database(settings.redis_url), seconds=60)
    try:
        ours: dict[int, float] = {}
        plain: dict[int, float] = {}
        for size in sizes:
            likes = [size] * max(1, 2_000 // size)
            ours[size] = await _measured(client, settings.buckets, likes)
            plain[size] = await _plain(client, likes)
        mix = _zipf(*zipf)
        mixed, plainly = await _measured(client, settings.buckets, mix), await _plain(client, mix)
    finally:
        await client.flushdb()
        await client.aclose()
    worst = max(sizes, key=lambda size: ours[size])
    return {
        "name": "counters",
        "figure": round(ours[worst], 2),
        "unit": "bytes a like, keys included, of posts of 100 likes and more: the worst size",
        "yardstick": round(plain[worst], 2),
        "yardstick_name": "one plain set a post, of that size",
        "ratio": round(plain[worst] / ours[worst], 2),
        "samples": len(sizes),
        "by_size": {str(size): round(taken, 2) for size, taken in ours.items()},
        "yardstick_by_size": {str(size): round(taken, 2) for size, taken in plain.items()},
        "zipf": round(mixed, 2),
        "zipf_yardstick": round(plainly, 2),
        "zipf_likes": sum(mix),
        "zipf_posts": len(mix),
        "zipf_mean_likes": round(sum(mix) / len(mix), 1),
    }


def _zipf(likes: int, posts: int) -> list[int]:
    """Likes of each post that has any, by Zipf's law with exponent 1, some ``likes`` in all."""
    whole = sum(1 / rank for rank in range(1, posts + 1))
    return [count for rank in range(1, posts + 1) if (count := round(likes / rank / whole))]


def _people(count: int) -> list[int]:
    """Ids as gateways make them."""
    chance = random.Random(1)  # noqa: S311
    return [snowflake(_AT + 7919 * n + chance.randrange(7919), 1, 0) for n in range(count)]


def _posts(count: int) -> list[int]:
    return [snowflake(_AT + 1000 * n, 2, 0) for n in range(count)]


async def _measured(client: Redis, buckets: int, likes: Sequence[int]) -> float:
    """Bytes a like, where the n-th post has ``likes[n]``."""
    await client.flushdb()
    sink = CounterSink(client, {_TP.topic: "bench"}, generation=1, buckets=buckets)
    users, offset = _people(max(likes)), -1
    batch: list[CountMembers] = []
    begun = offset
    for post, count in zip(_posts(len(likes)), likes, strict=True):
        for start in range(0, count, _BATCH):
            some = users[start : min(start + _BATCH, count)]
            said = {user: (offset + n, True) for n, user in enumerate(some, 1)}
            batch.append(CountMembers(Mark(_TP, offset + 1), LIKES, post, said))
            offset += len(some)
            if offset - begun >= _BATCH:
                await sink.apply(batch, {_TP: Span(begun, offset)})
                begun, batch = offset, []
    if batch:
        await sink.apply(batch, {_TP: Span(begun, offset)})
    apart = {prefix_of(1, bucket) + name for bucket in range(buckets) for name in _BOOKKEEPING}
    return await _taken(client, apart) / sum(likes)


async def _plain(client: Redis, likes: Sequence[int]) -> float:
    await client.flushdb()
    users = _people(max(likes))
    pipeline = client.pipeline(transaction=False)
    for post, count in zip(_posts(len(likes)), likes, strict=True):
        for start in range(0, count, _BATCH):
            pipeline.sadd(f"likes:{post}", *users[start : min(start + _BATCH, count)])
        if len(pipeline) >= 500:
            await pipeline.execute()
    await pipeline.execute()
    return await _taken(client, set()) / sum(likes)


async def _taken(client: Redis, apart: set[str]) -> int:
    """Bytes of all keys besides ``apart``."""
    keys = [key async for key in client.scan_iter(count=5000) if key.decode() not in apart]
    taken = 0
    for start in range(0, len(keys), 1000):
        pipeline = client.pipeline(transaction=False)
        for key in keys[start : start + 1000]:
            pipeline.memory_usage(key, samples=0)
        taken += sum(filter(None, await pipeline.execute()))
    return taken
