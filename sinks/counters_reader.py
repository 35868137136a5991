"""What readers ask of the counters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from sinks.counters import COUNTED, KINDS, name_of, posts_of, prefix_of, replies_of
from sinks.fenced_buckets import lowest_fence
from sinks.gathered import Asked, Gathered, Read
from sinks.home_feed_watch import GenerationWatch
from sinks.redis import Redis, reaching_redis
from sinks.scripts import ScriptCall, Scripts, joined
from streams.buckets import bucket_of
from streams.counters import COMMENTS, LIKES, SAVES, SHARES
from streams.records import TopicPartition

_encode = msgspec.msgpack.Encoder().encode
_numbers = msgspec.msgpack.Decoder(list[int]).decode
_PIPELINED = 1000
_VIEWED, _SIZED = (KINDS[LIKES], KINDS[SAVES]), (KINDS[COMMENTS], KINDS[SHARES])
_Question = tuple[int, int | None]
"""A post, and who looks at it."""


class Count(NamedTuple):
    """How many there are, and whether the viewer is one of them."""

    total: int
    viewer: bool


class PostCounts(NamedTuple):
    """What is counted of a post: likes, whether the viewer likes and keeps it, comments with their replies, who shared
    it."""

    likes: int
    liked: bool
    saved: bool
    comments: int
    shares: int


class CounterReader:
    """Reads one generation of the counters. With a ``watch``, as gateways have, it raises ``Healing``, a ``StoreAway``,
    rather than to answer from a bucket that lost data and has not come back."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int, watch: GenerationWatch | None = None) -> None:
        self._redis = redis
        self._watch = watch
        self._reaching = watch.circuit.reaching if watch else reaching_redis
        self._prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]
        texts = {"read": joined("shards", "counters_read"), "posts": joined("shards", "counters_posts")}
        self._scripts = Scripts(redis, texts, self._reaching)
        self._gathered = Gathered(self._read_posts, watch)

    async def likes(self, post_ids: Collection[int], viewer_id: int | None) -> dict[int, Count]:
        """The likes of each of ``post_ids``; nobody's, without a viewer. One round trip. Raises ``StoreAway``."""
        found = await self._read(post_ids, viewer_id, lambda post_id: ([name_of(LIKES, post_id)], []))
        return {post_id: Count(counts[0], bool(counts[1])) for post_id, counts in found.items()}

    async def posts(self, post_ids: Collection[int], viewer_id: int | None) -> dict[int, PostCounts]:
        """All that is counted of each of ``post_ids``. One round trip, shared with others. Raises ``StoreAway``."""
        wanted: dict[int, list[_Question]] = {}
        for post_id in post_ids:
            wanted.setdefault(bucket_of(post_id, len(self._prefixes)), []).append((post_id, viewer_id))
        found: dict[int, PostCounts] = {}
        for bucket, answers in (await self._gathered.ask(wanted)).items():
            for question in wanted[bucket]:
                found[question[0]] = answers[question]
        return found

    async def _read_posts(self, asked: Asked[_Question]) -> Read[dict[_Question, PostCounts]]:
        calls: list[ScriptCall] = []
        by_post: list[dict[int, list[int | None]]] = []
        for bucket, questions in asked.items():
            posts: dict[int, list[int | None]] = {}
            for post_id, viewer_id in questions:
                posts.setdefault(post_id, []).append(viewer_id)
            by_post.append(posts)
            words = ([str(word or "") for word in (post_id, *viewers)] for post_id, viewers in posts.items())
            prefix = self._prefixes[bucket]
            asking = _encode((prefix, _VIEWED, _SIZED, *words))
            calls.append(ScriptCall("posts", prefix + "fences", (asking,)))
        answers = await self._scripts.run(calls)
        return {
            bucket: ((born, moves), _counted(posts, _numbers(packed)))
            for bucket, posts, (born, moves, packed) in zip(asked, by_post, answers, strict=True)
        }

    async def replies(self, post_id: int, comment_ids: Sequence[int]) -> dict[int, int]:
        """How many replies each of these comments of one post has. Raises ``StoreAway``."""
        found = await self._read([post_id], None, lambda _: ([], [replies_of(comment) for comment in comment_ids]))
        return dict(zip(comment_ids, found[post_id], strict=True))

    async def named(self, names: Sequence[str]) -> dict[str, int]:
        """How many published posts name each hashtag ("t:dusk") or place ("l:London"), whoever may see them. One round
        trip to every bucket, as posts stand in theirs. Raises ``StoreAway``."""
        buckets = range(len(self._prefixes))
        expected = self._watch.expected(buckets) if self._watch else {}
        asked = [(prefix, "", (), [posts_of(name) for name in names]) for prefix in self._prefixes]
        answers = await self._scripts.run(
            [ScriptCall("read", one[0] + "fences", (_encode(one),)) for one in asked] if names else []
        )
        if self._watch and names:
            self._watch.confirm(expected, [(born, moves) for born, moves, *_ in answers])
        return {name: sum(answer[2 + n] for answer in answers) for n, name in enumerate(names)}

    async def _read(
        self, post_ids: Collection[int], viewer_id: int | None, names: Callable[[int], tuple[list[str], list[str]]]
    ) -> dict[int, list[int]]:
        """Of each post, what counters_read.lua answers for ``names``: those with a viewer, and those without."""
        by_bucket: dict[int, list[int]] = {}
        for post_id in post_ids:
            by_bucket.setdefault(bucket_of(post_id, len(self._prefixes)), []).append(post_id)
        viewer = "" if viewer_id is None else str(viewer_id)
        expected = self._watch.expected(by_bucket) if self._watch else {}
        calls: list[ScriptCall] = []
        sizes: dict[int, tuple[int, int]] = {}
        for bucket, ids in by_bucket.items():
            wanted = {post_id: names(post_id) for post_id in ids}
            sizes |= {post_id: (2 * len(own), len(others)) for post_id, (own, others) in wanted.items()}
            own = [name for some, _ in wanted.values() for name in some]
            others = [name for _, some in wanted.values() for name in some]
            prefix = self._prefixes[bucket]
            calls.append(ScriptCall("read", prefix + "fences", (_encode((prefix, viewer, own, others)),)))
        answers = await self._scripts.run(calls)
        if self._watch:
            self._watch.confirm(expected, [(born, moves) for born, moves, *_ in answers])
        found: dict[int, list[int]] = {}
        for ids, (_born, _moves, *counts) in zip(by_bucket.values(), answers, strict=True):
            rest = iter(counts)
            for post_id in ids:
                found[post_id] = list(islice(rest, sizes[post_id][0]))
            for post_id in ids:
                found[post_id] += islice(rest, sizes[post_id][1])
        return found

    async def fence(self, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` every count is complete; -1 for nothing. Raises ``StoreAway``."""
        return await lowest_fence(self._redis, self._prefixes, tp, self._reaching)


def _counted(posts: Mapping[int, Sequence[int | None]], numbers: Sequence[int]) -> dict[_Question, PostCounts]:
    """What counters_posts.lua answered for ``posts`` and their viewers."""
    found: dict[_Question, PostCounts] = {}
    at = 0
    for post_id, viewers in posts.items():
        likes, _, comments, shares = numbers[at : at + 4]
        at += 4
        for viewer in viewers:
            liked, saved = numbers[at] > 0, numbers[at + 1] > 0
            found[post_id, viewer] = PostCounts(likes, liked, saved, comments, shares)
            at += 2
    return found


class Shard(NamedTuple):
    """One shard of a set of members: number ``shard`` of ``shards``."""

    post_id: int
    shard: int
    shards: int
    members: list[int]


class CounterScan:
    """Everything that one generation of the counters holds: for jobs that compare, never for requests."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int) -> None:
        self._redis = redis
        self._generation = generation
        self._buckets = buckets

    async def shards(self, kind: str) -> AsyncIterator[Shard]:
        """Every shard of every set of ``kind``, in no order. Raises ``StoreAway``."""
        found: list[bytes] = []
        async for key in self._keys(f"{KINDS[kind]}:*:*"):
            found.append(key)
            if len(found) == _PIPELINED:
                for shard in await self._read(kind, found):
                    yield shard
                found = []
        for shard in await self._read(kind, found):
            yield shard

    async def post_ids(self, kind: str) -> set[int]:
        """The posts of which anybody is counted as ``kind``. Raises ``StoreAway``."""
        return {int(key.rsplit(b":", 2)[1]) async for key in self._keys(f"{KINDS[kind]}:*:*")}

    async def replies(self) -> dict[int, int]:
        """Of each comment that has replies, how many stand in Redis. Raises ``StoreAway``."""
        keys = [key async for key in self._keys("r:*:*")]
        found: dict[int, int] = {}
        rest = iter(keys)
        while some := list(islice(rest, _PIPELINED)):
            async with reaching_redis():
                pipeline = self._redis.pipeline(transaction=False)
                for key in some:
                    pipeline.scard(key)
                sizes = await pipeline.execute()
            for key, size in zip(some, sizes, strict=True):
                comment = int(key.rsplit(b":", 2)[1])
                found[comment] = found.get(comment, 0) + size
        return found

    async def named(self) -> dict[str, set[int]]:
        """The published posts that name each hashtag or place; under "", all. Raises ``StoreAway``."""
        found: dict[str, set[int]] = {}
        keys = [key async for key in self._keys("h:*")]
        rest = iter(keys)
        while some := list(islice(rest, _PIPELINED)):
            async with reaching_redis():
                pipeline = self._redis.pipeline(transaction=False)
                for key in some:
                    pipeline.smembers(key)
                answers = await pipeline.execute()
            for key, members in zip(some, answers, strict=True):
                name = key.split(b"}:h:", 1)[1].rpartition(b":")[0].decode()
                found.setdefault(name, set()).update(map(int, members))
        return found

    async def gone(self) -> AsyncIterator[int]:
        """The deleted posts. Raises ``StoreAway``."""
        for bucket in range(self._buckets):
            async with reaching_redis():
                async for post_id in self._redis.sscan_iter(prefix_of(self._generation, bucket) + "gone", count=5000):
                    yield int(post_id)

    async def members(self, kind: str, post_ids: Sequence[int]) -> dict[int, set[int]]:
        """Who is counted for each of ``post_ids``. Raises ``StoreAway``."""
        found: dict[int, set[int]] = {post_id: set() for post_id in post_ids}
        rest = iter(post_ids)
        while some := list(islice(rest, _PIPELINED)):
            keys = [self._key(kind, post_id, 0) for post_id in some]
            for post_id, shards in zip(some, await self._shard_counts(kind, some), strict=True):
                keys += [self._key(kind, post_id, n) for n in range(1, shards)]
            for shard in await self._read(kind, keys):
                found[shard.post_id].update(shard.members)
        return found

    def _key(self, kind: str, post_id: int, shard: int) -> bytes:
        prefix = prefix_of(self._generation, bucket_of(post_id, self._buckets))
        return f"{prefix}{name_of(kind, post_id)}:{shard}".encode()

    async def _read(self, kind: str, keys: Sequence[bytes]) -> list[Shard]:
        if not keys:
            return []
        places = [tuple(map(int, key.rsplit(b":", 2)[1:])) for key in keys]
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                pipeline.smembers(key)
            answers: list[Any] = await pipeline.execute()
        # After the members: after a split in between they seem to stand in a wrong shard, until looked at again.
        counts = await self._shard_counts(kind, [post_id for post_id, _ in places])
        return [
            Shard(post_id, shard, shards, [int(member) for member in members])
            for (post_id, shard), shards, members in zip(places, counts, answers, strict=True)
        ]

    async def _shard_counts(self, kind: str, post_ids: Sequence[int]) -> list[int]:
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for post_id in post_ids:
                prefix = prefix_of(self._generation, bucket_of(post_id, self._buckets))
                pipeline.hget(prefix + "shards", name_of(kind, post_id))
            return [int(stored.split()[0]) if stored else 1 for stored in await pipeline.execute()]

    async def _keys(self, pattern: str) -> AsyncIterator[bytes]:
        seen: set[bytes] = set()  # SCAN may give a key twice while a table grows
        async with reaching_redis():
            async for key in self._redis.scan_iter(
                match=f"{COUNTED.prefix}{self._generation}:{{*}}:{pattern}", count=5000
            ):
                if key not in seen:
                    seen.add(key)
                    yield key
