"""The home feed's bulk sink, for ``replay``: folds a log in memory, then writes whole feeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sinks.errors import FenceBehind
from sinks.home_feed_buckets import PUSH, STATE, RedisBuckets
from sinks.home_feed_columns import Checkpoint, Columns, Identity
from sinks.home_feed_layout import Layout, Shape
from sinks.redis import Redis, reaching_redis
from sinks.redis_bulk import send
from streams.home_feed import FanOut, FeedWrite, Follow, Unfollow
from streams.records import Spans, TopicPartition

_SCANNED = 5000
"""Keys in one step of SCAN, and in one UNLINK: Redis is held for some milliseconds."""


class BulkHomeFeedSink:
    """A ``BulkSink`` for a generation that nobody reads yet and nobody else writes.

    Holds 16 bytes a write. ``load`` writes what the log says in the end, so that a feed's floor is never above the
    newest post that its length leaves out; fences come after everything else, in all buckets. With ``checkpoint``, a
    folder of this sink alone, what was applied outlives the process.
    """

    def __init__(
        self,
        redis: Redis,
        topic_ids: dict[str, str],
        *,
        generation: int,
        buckets: int,
        cap: int,
        slack: int,
        pull_threshold: int,
        checkpoint: Path | None,
    ) -> None:
        self._redis = redis
        self._topic_ids = topic_ids
        self._shape = Shape(generation, buckets, cap, pull_threshold)
        self._buckets = RedisBuckets(redis, topic_ids, generation=generation, buckets=buckets, cap=cap, slack=slack)
        identity = Identity(topic_ids, generation, buckets, cap, pull_threshold)
        self._checkpoint = Checkpoint(checkpoint, identity) if checkpoint else None
        self._columns: Columns | None = None

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """What was applied here, and what stands in the checkpoint; not what is in Redis."""
        columns = await self._kept()
        return {tp: columns.fences.get(tp, -1) for tp in partitions}

    async def apply(self, writes: Sequence[FeedWrite], spans: Spans) -> None:
        columns = await self._kept()
        fences = columns.fences
        if any(fences.get(tp, -1) < span.prior for tp, span in spans.items()):
            raise FenceBehind({tp: fences.get(tp, -1) for tp in spans})
        packed([write for write in writes if write.mark.offset > fences.get(write.mark.tp, -1)], columns)
        for tp, span in spans.items():
            fences[tp] = max(span.last, fences.get(tp, -1))

    async def extend(self, more: Columns) -> None:
        """``apply`` of what another process has ``packed``: everything between the fences here and those of ``more``.
        Nobody else may apply what stands in the partitions that ``more`` names."""
        columns = await self._kept()
        columns.follows.extend(more.follows)
        columns.posts.extend(more.posts)
        columns.fences.update(more.fences)

    async def checkpoint(self) -> None:
        """As in ``BulkSink``; nothing without a folder. Raises OSError."""
        columns = await self._kept()
        if self._checkpoint is not None:
            tails = self._checkpoint.tails(columns)
            await asyncio.to_thread(self._checkpoint.write, tails, dict(columns.fences))

    async def load(self, moved: Callable[[int, int], None]) -> None:
        """As in ``BulkSink``. Nothing is done where every bucket is at least as far as this sink is, so that what the
        live sink has added since is safe; otherwise everything of the generation is removed first."""
        await self.checkpoint()
        columns = await self._kept()
        if await self._is_loaded(columns.fences):
            moved(1, 1)
            return
        follows, posts = (np.array(column, np.int64) for column in (columns.follows, columns.posts))
        layout = await asyncio.to_thread(Layout, self._shape, follows, posts)
        del follows, posts
        of = layout.weight + 1
        done = 0

        def sent(weight: int) -> None:
            nonlocal done
            done += weight
            moved(done, of)

        moved(0, of)
        await self._clear()
        await send(self._redis, layout.chunks(), sent)
        await self._set_fences(columns.fences)
        moved(of, of)

    async def _kept(self) -> Columns:
        if self._columns is None:
            self._columns = await asyncio.to_thread(self._checkpoint.read) if self._checkpoint else Columns()
        return self._columns

    async def _is_loaded(self, fences: dict[TopicPartition, int]) -> bool:
        if not fences:
            return False
        return all(
            offset <= held_offset and topic_id == self._topic_ids[tp.topic]
            for stored in await self._buckets.fences()
            for which in (STATE, PUSH)
            for tp, offset in fences.items()
            for held_offset, topic_id in [stored.get(f"{which}:{tp}", (-1, ""))]
            if offset >= 0
        )

    async def _clear(self) -> None:
        """Remove every key of the generation: fences first, since nothing is complete from there on."""
        async with reaching_redis():
            await self._redis.unlink(*(self._shape.prefix(n) + b"fences" for n in range(self._shape.buckets)))
            some: list[bytes] = []
            async for key in self._redis.scan_iter(match=f"hf{self._shape.generation}:{{*", count=_SCANNED):
                some.append(key)
                if len(some) == _SCANNED:
                    await self._redis.unlink(*some)
                    some = []
            if some:
                await self._redis.unlink(*some)

    async def _set_fences(self, fences: dict[TopicPartition, int]) -> None:
        values: dict[Any, Any] = {
            f"{which}:{tp}": f"{offset} {self._topic_ids[tp.topic]}"
            for which in (STATE, PUSH)
            for tp, offset in fences.items()
            if offset >= 0
        }
        if not values:
            return
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in range(self._shape.buckets):
                # As if all were one move: readers know by it that they still read what they looked at.
                history: dict[Any, Any] = {"born": time.time_ns(), "moves": 1}
                pipeline.hset(self._shape.prefix(bucket) + b"history", mapping=history)
                pipeline.hset(self._shape.prefix(bucket) + b"fences", mapping=values)
            await pipeline.execute()


def packed(writes: Sequence[FeedWrite], columns: Columns) -> None:
    """Append ``writes`` to ``columns``."""
    follow, post = columns.follows.append, columns.posts.append
    for write in writes:
        if isinstance(write, Follow | Unfollow):
            follow(write.follower if isinstance(write, Follow) else -write.follower)
            follow(write.followee)
        else:
            post(write.post if isinstance(write, FanOut) else -write.post)
            post(write.author)
