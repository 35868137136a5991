"""What views in Redis with one pass have in common: one script call a bucket, which checks the bucket's fences, applies
writes and moves the fences, atomically. What the script's prelude does is in sinks/lua/fenced.lua."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from sinks.errors import FenceBehind, LogRemade
from sinks.home_feed_buckets import Word, array, stored_fences
from sinks.redis import Redis
from sinks.scripts import ScriptCall, Scripts, joined
from streams.records import Spans, TopicPartition

PASS = "1"  # noqa: S105 (there is one pass)
_encode = msgspec.msgpack.Encoder().encode


class FencedBuckets:
    """The buckets whose keys begin with ``prefixes``, written by the script ``name`` behind its ``preludes``."""

    def __init__(
        self,
        redis: Redis,
        topic_ids: Mapping[str, str],
        prefixes: Sequence[str],
        name: str,
        *preludes: str,
    ) -> None:
        self._redis = redis
        self._topic_ids = topic_ids
        self._prefixes = prefixes
        self._name = name
        self._scripts = Scripts(redis, {name: joined("fenced", *preludes, name)})

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: the lowest of all buckets."""
        stored = await stored_fences(self._redis, self._prefixes)
        lowest: dict[TopicPartition, int] = {}
        for tp in partitions:
            held = [bucket.get(f"{PASS}:{tp}", (-1, "")) for bucket in stored]
            if any(offset >= 0 and topic_id != self._topic_ids[tp.topic] for offset, topic_id in held):
                raise self._remade(tp.topic)
            lowest[tp] = min(offset for offset, _ in held)
        return lowest

    async def call(self, drafts: Mapping[int, Sequence[bytes]], spans: Spans, *terms: bytes) -> None:
        """Bring each bucket its packed writes, and its fences to the ends of ``spans``. ``terms`` are further arguments
        of the script. Raises ``FenceBehind``, ``LogRemade`` and ``StoreAway``."""
        words: list[Word] = []
        for tp, span in spans.items():
            words += (str(tp), self._topic_ids[tp.topic], span.prior, span.last)
        answers = await self._scripts.run(
            [
                # Cap and slack of lists, and limits, are the home feed's.
                ScriptCall(
                    self._name, prefix + "fences", (_encode((prefix, PASS, 0, 0, words, ())), array(draft), *terms)
                )
                for prefix, draft in ((self._prefixes[bucket], draft) for bucket, draft in drafts.items())
            ]
        )
        states = {answer[0]: answer for answer in answers}
        if b"remade" in states:
            raise self._remade(states[b"remade"][1].decode().rpartition("-")[0])
        if b"behind" in states:
            raise FenceBehind(await self.fences(spans))

    def _remade(self, topic: str) -> LogRemade:
        return LogRemade(
            f"the view {self._name} was built from another incarnation of topic {topic}: that was deleted and made "
            "again. Restore the log, or drop the view and let it be rebuilt."
        )


async def lowest_fence(
    redis: Redis,
    prefixes: Sequence[str],
    tp: TopicPartition,
    reaching: Callable[[], AbstractAsyncContextManager[None]],
) -> int:
    """Up to which offset of ``tp`` every bucket is complete; -1 for nothing. Raises what ``reaching`` does."""
    async with reaching():
        pipeline = redis.pipeline(transaction=False)
        for prefix in prefixes:
            pipeline.hget(prefix + "fences", f"{PASS}:{tp}")
        answers = await pipeline.execute()
    return min(int(stored.split()[0]) if stored else -1 for stored in answers)
