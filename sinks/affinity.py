"""Affinity in Redis: the sink, one script call a bucket, which checks the fences, applies writes and moves them
atomically; and what readers and jobs ask of it.

Keys of bucket 5 of generation 1, all under ``af1:{5}:`` (viewers live in buckets by their id): ``a:VIEWER`` author →
since when the viewer follows them and the weights of each step, as MessagePack · ``fences`` · ``history`` as in the
home feed's buckets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import msgspec

from sinks.fenced_buckets import PASS, FencedBuckets, lowest_fence
from sinks.home_feed_buckets import Word
from sinks.home_feed_watch import GenerationWatch, Watched
from sinks.redis import Redis, reaching_redis
from streams.affinity import AFFINITY, AffinityWrite, Pair, Turned
from streams.buckets import bucket_of
from streams.records import Span, Spans, TopicPartition

AFFINITIES = Watched(AFFINITY.name, "af", AFFINITY.sources, (PASS,))
"""How gateways watch over it."""
CALL_WRITES = 2000
"""Writes to one bucket after which a call is cut: some 10 ms of Redis."""
_AT_ONCE = 500
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


def prefix_of(generation: int, bucket: int) -> str:
    """What the keys of ``bucket`` begin with."""
    return f"{AFFINITIES.prefix}{generation}:{{{bucket}}}:"


def pair_of(held: bytes) -> Pair:
    """What a bucket holds of a pair."""
    since, *flat = _decode(held)
    return Pair(since, dict(zip(flat[0::2], flat[1::2], strict=True)))


class AffinitySink:
    """Applies who turns to whom to one generation in Redis, exactly once in effect."""

    def __init__(self, redis: Redis, topic_ids: Mapping[str, str], *, generation: int, buckets: int) -> None:
        prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]
        self._count = buckets
        self._buckets = FencedBuckets(redis, topic_ids, prefixes, "affinity")

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: the lowest of all buckets."""
        return await self._buckets.fences(partitions)

    async def apply(self, writes: Sequence[AffinityWrite], spans: Spans) -> None:
        """See ``Sink.apply``. Every bucket's fences move with every batch; no record gives more than one write, so
        calls may be cut between any two."""
        index = {tp: n for n, tp in enumerate(spans, 1)}
        begun = {tp: span.prior for tp, span in spans.items()}
        position = dict(begun)
        count = self._count
        drafts: list[list[bytes]] = [[] for _ in range(count)]
        fullest = 0
        for write in writes:
            tp, offset = write.mark
            if fullest >= CALL_WRITES:
                reached = {one: Span(begun[one], position[one]) for one in spans}
                await self._buckets.call(dict(enumerate(drafts)), reached)
                drafts, begun, fullest = [[] for _ in range(count)], dict(position), 0
            about: list[Word] = [index[tp], offset, str(write.viewer), str(write.author)]
            about += [write.step, write.weight] if isinstance(write, Turned) else [write.since]
            draft = drafts[bucket_of(write.viewer, count)]
            draft.append(_encode(about))
            position[tp] = offset
            fullest = max(fullest, len(draft))
        await self._buckets.call(
            dict(enumerate(drafts)), {tp: Span(begun[tp], span.last) for tp, span in spans.items()}
        )


class AffinityReader:
    """Reads one generation. With a ``watch``, as gateways have, it raises ``Healing``, a ``StoreAway``, rather than to
    answer from a bucket that lost data and has not come back."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int, watch: GenerationWatch | None = None) -> None:
        self._redis = redis
        self._watch = watch
        self._reaching = watch.circuit.reaching if watch else reaching_redis
        self._prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]

    async def of(self, viewer_id: int, author_ids: Sequence[int]) -> dict[int, Pair]:
        """What is held of the viewer and those of ``author_ids`` of whom anything is. Raises ``StoreAway``."""
        if not author_ids:
            return {}
        bucket = bucket_of(viewer_id, len(self._prefixes))
        expected = self._watch.expected([bucket]) if self._watch else {}
        async with self._reaching():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hmget(f"{self._prefixes[bucket]}a:{viewer_id}", [str(author) for author in author_ids])
            # After what is used, so that a loss before it shows.
            pipeline.hmget(f"{self._prefixes[bucket]}history", "born", "moves")
            held, history = await pipeline.execute()
        if self._watch:
            self._watch.confirm(expected, [history])
        return {author: pair_of(raw) for author, raw in zip(author_ids, held, strict=True) if raw is not None}

    async def fence(self, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` everything is counted; -1 for nothing. Raises ``StoreAway``."""
        return await lowest_fence(self._redis, self._prefixes, tp, self._reaching)


class AffinityScan:
    """Everything that one generation holds: for jobs that compare, never for requests."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int) -> None:
        self._redis = redis
        self._prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]

    async def viewers(self) -> list[int]:
        """Everybody of whom anything is held. Raises ``StoreAway``."""
        found: set[int] = set()
        for prefix in self._prefixes:
            async with reaching_redis():
                async for key in self._redis.scan_iter(match=f"{prefix}a:*", count=5000):
                    found.add(int(key.rpartition(b":")[2]))
        return sorted(found)

    async def held(self, viewer_ids: Sequence[int]) -> AsyncIterator[tuple[int, dict[int, Pair]]]:
        """Each of ``viewer_ids`` with all of their pairs by author. Raises ``StoreAway``."""
        for start in range(0, len(viewer_ids), _AT_ONCE):
            some = viewer_ids[start : start + _AT_ONCE]
            async with reaching_redis():
                pipeline = self._redis.pipeline(transaction=False)
                for viewer in some:
                    pipeline.hgetall(f"{self._prefixes[bucket_of(viewer, len(self._prefixes))]}a:{viewer}")
                answers: list[dict[bytes, Any]] = await pipeline.execute()
            for viewer, pairs in zip(some, answers, strict=True):
                yield viewer, {int(author): pair_of(held) for author, held in pairs.items()}
