"""The counters' sink: one script call a bucket, which checks the fences, applies writes and moves them, atomically.

Keys of bucket 5 of generation 1, all under ``ct1:{5}:`` (posts live in buckets by their id): ``l:POST:SHARD`` who likes
the post, in shards as sinks/lua/shards.lua says; ``v``, ``s``, ``c`` and ``x`` likewise, as ``KINDS`` says ·
``p`` comments that have or had replies, ``r:COMMENT:SHARD`` those replies, in the bucket of the post · ``shards`` of
each set of more than one shard, how many, and its size · ``gone`` deleted posts · ``h:NAME:SHARD`` the bucket's
published posts that name a hashtag or a place, ``h::SHARD`` all of them · ``named`` what each post names that names
anything · ``fences`` · ``history`` as in the home feed's buckets.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import sha1

import msgspec

from sinks.fenced_buckets import PASS, FencedBuckets
from sinks.home_feed_buckets import packed
from sinks.home_feed_watch import Watched
from sinks.redis import Redis
from streams.buckets import bucket_of
from streams.counters import (
    COMMENTS,
    COUNTERS,
    DEAD,
    LIKES,
    SAVES,
    SHARES,
    CountComment,
    CounterWrite,
    CountMembers,
    NamePost,
    ShowPost,
    UncountComment,
)
from streams.records import Span, Spans, TopicPartition

KINDS = {LIKES: "l", SAVES: "v", SHARES: "s", COMMENTS: "c", DEAD: "x"}
"""The letter by which each kind of counter of a post goes in Redis."""
COUNTED = Watched(COUNTERS.name, "ct", COUNTERS.sources, (PASS,))
"""How gateways watch over the counters."""
CALL_WRITES = 2000
"""Words to one bucket after which a call is cut: some 10 ms of Redis, with all the splits that they can cause."""
_encode = msgspec.msgpack.Encoder().encode


def prefix_of(generation: int, bucket: int) -> str:
    """What the keys of ``bucket`` begin with."""
    return f"{COUNTED.prefix}{generation}:{{{bucket}}}:"


def name_of(kind: str, of: int) -> str:
    """The name of the set of a post's members."""
    return f"{KINDS[kind]}:{of}"


def posts_of(name: str) -> str:
    """The name of the set of a bucket's published posts that name a hashtag or a place; of all, for no name."""
    return f"h:{name}"


def replies_of(comment: int) -> str:
    """The name of the set of a comment's replies, in the bucket of its post."""
    return f"r:{comment}"


def shard_of(member: int, shards: int) -> int:
    """The shard, 0 to ``shards - 1``, in which ``member`` stands: the same as in sinks/lua/shards.lua."""
    hashed = int(sha1(b"%d" % member, usedforsecurity=False).hexdigest()[:8], 16)
    round_size = 1 << (shards.bit_length() - 1)
    shard = hashed % (2 * round_size)
    return shard if shard < shards else shard - round_size


class CounterSink:
    """Applies the counters' writes to one generation in Redis, exactly once in effect."""

    def __init__(self, redis: Redis, topic_ids: Mapping[str, str], *, generation: int, buckets: int) -> None:
        self._count = buckets
        prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]
        self._buckets = FencedBuckets(redis, topic_ids, prefixes, "counters", "shards")

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: the lowest of all buckets."""
        return await self._buckets.fences(partitions)

    async def apply(self, writes: Sequence[CounterWrite], spans: Spans) -> None:
        """See ``Sink.apply``. Every bucket's fences move with every batch, in the last of its calls.

        What the calls before it bring is above the fences until then, and would be said again, in the log's order, by
        whoever goes on from them.
        """
        index = {tp: n for n, tp in enumerate(spans, 1)}
        drafts: list[list[bytes]] = [[] for _ in range(self._count)]
        sizes = [0] * self._count
        still = {tp: Span(span.prior, span.prior) for tp, span in spans.items()}
        for write in writes:
            bucket = bucket_of(write.of, self._count)
            for words, packed_write in _words(write, index[write.mark.tp]):
                if sizes[bucket] + words > CALL_WRITES and drafts[bucket]:
                    await self._buckets.call({bucket: drafts[bucket]}, still)
                    drafts[bucket], sizes[bucket] = [], 0
                drafts[bucket].append(packed_write)
                sizes[bucket] += words
        await self._buckets.call(dict(enumerate(drafts)), spans)


def _words(write: CounterWrite, i: int) -> Iterator[tuple[int, bytes]]:
    """``write`` as the script reads it, in parts that fit into one call, with how much work each is."""
    of = str(write.of)
    if isinstance(write, CountMembers):
        name, words = f"{KINDS[write.kind]}:{of}", list(write.said.items())
        for start in range(0, len(words), CALL_WRITES):
            some = words[start : start + CALL_WRITES]
            come = [word for member, (offset, stands) in some if stands for word in (offset, str(member))]
            go = [word for member, (offset, stands) in some if not stands for word in (offset, str(member))]
            yield len(some), _encode(("M", i, of, name, come, go))
    elif isinstance(write, CountComment | UncountComment):
        which = "C" if isinstance(write, CountComment) else "D"
        yield 1, packed((which, i, write.mark.offset, of, str(write.comment), str(write.parent)))
    elif isinstance(write, NamePost):
        yield 1 + len(write.names), packed(("N", i, write.mark.offset, of, *map(posts_of, write.names)))
    elif isinstance(write, ShowPost):
        yield 1, packed(("S", i, write.mark.offset, of))
    else:
        yield 1, packed(("G", i, write.mark.offset, of, *(name_of(kind, write.of) for kind in KINDS)))
