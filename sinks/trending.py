"""The sink of trends: one script call a bucket, which checks the fences, applies writes and moves them, atomically.

Keys of bucket 5 of generation 1, all under ``td1:{5}:`` (items live in buckets by a hash of their names, which are
``p:POST``, ``t:HASHTAG`` and ``l:PLACE``): ``i:NAME`` newest day, counts by step of both windows, and people by day, as
MessagePack · ``w:NAME:DAY`` who did what that day · ``a:NAME:DAY`` some authors of the posts with a tag or place ·
``1h:p``, ``24h:p`` and so on: items with enough people by their scores · ``newest`` items by their newest day, by which
they leave · ``fences`` · ``history`` as in the home feed's buckets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from sinks.fenced_buckets import PASS, FencedBuckets
from sinks.home_feed_watch import Watched
from sinks.redis import Redis
from streams.records import Span, Spans, TopicPartition
from streams.trending import TRENDING, Act, bucket_of_name

TRENDS = Watched(TRENDING.name, "td", TRENDING.sources, (PASS,))
"""How gateways watch over the trends."""
CALL_WRITES = 1000
"""Writes to one bucket after which a call is cut: some 10 ms of Redis."""
_encode = msgspec.msgpack.Encoder().encode


def prefix_of(generation: int, bucket: int) -> str:
    """What the keys of ``bucket`` begin with."""
    return f"{TRENDS.prefix}{generation}:{{{bucket}}}:"


class TrendSink:
    """Applies what people do with items to one generation in Redis, exactly once in effect."""

    def __init__(
        self, redis: Redis, topic_ids: Mapping[str, str], *, generation: int, buckets: int, least_people: int
    ) -> None:
        """An item with fewer than ``least_people`` different people stands in no list."""
        self._least_people = least_people
        self._count = buckets
        prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]
        self._buckets = FencedBuckets(redis, topic_ids, prefixes, "trending")

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: the lowest of all buckets."""
        return await self._buckets.fences(partitions)

    async def apply(self, writes: Sequence[Act], spans: Spans) -> None:
        """See ``Sink.apply``. Every bucket's fences move with every batch, in calls that are cut between offsets: the
        writes of one record stay together."""
        index = {tp: n for n, tp in enumerate(spans, 1)}
        begun = {tp: span.prior for tp, span in spans.items()}
        position = dict(begun)
        count = self._count
        terms = _encode((self._least_people, max((write.day for write in writes), default=-1)))
        drafts: list[list[bytes]] = [[] for _ in range(count)]
        fullest = 0
        for (tp, offset), name, person, author, day, value in writes:
            if fullest >= CALL_WRITES and offset != position[tp]:
                reached = {tp: Span(begun[tp], position[tp]) for tp in spans}
                await self._buckets.call(dict(enumerate(drafts)), reached, terms)
                drafts, begun, fullest = [[] for _ in range(count)], dict(position), 0
            draft = drafts[bucket_of_name(name, count)]
            known = "" if name[0] == "p" else str(author)  # a post says itself whose it is
            draft.append(_encode((index[tp], offset, name, str(person), known, day, value)))
            position[tp] = offset
            fullest = max(fullest, len(draft))
        ends = {tp: Span(begun[tp], span.last) for tp, span in spans.items()}
        await self._buckets.call(dict(enumerate(drafts)), ends, terms)
