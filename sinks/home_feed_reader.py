"""What readers ask of the home feed: skeletons, and the relations that the rules need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

from sinks.home_feed_buckets import PUSH
from sinks.redis import Redis, reaching_redis
from streams.buckets import bucket_of
from streams.records import TopicPartition

_MANY = 500
"""People in one round trip of a bulk read."""


class Skeleton(NamedTuple):
    """``ids``: newest first, every post above ``floor`` of every author one follows, and possibly posts that the
    rules drop (deleted, unfollowed). At and below ``floor`` the feed goes on in Cassandra; 0 means it holds all."""

    ids: list[int]
    floor: int


class HomeFeedReader:
    """Reads one generation of the home feed."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int) -> None:
        self._redis = redis
        self._generation = generation
        self._count = buckets

    def _prefix(self, user_id: int) -> str:
        return f"hf{self._generation}:{{{bucket_of(user_id, self._count)}}}:"

    async def skeleton(self, user_id: int) -> Skeleton:
        """One person's feed; raises ``StoreAway``."""
        return (await self.skeletons([user_id]))[user_id]

    async def skeletons(self, user_ids: Collection[int]) -> dict[int, Skeleton]:
        """The feeds of ``user_ids``: one round trip, and a second one where somebody follows a pulled author."""
        found: dict[int, Skeleton] = {}
        rest = iter(user_ids)
        while some := list(islice(rest, _MANY)):
            found.update(await self._skeletons(some))
        return found

    async def _skeletons(self, user_ids: Sequence[int]) -> dict[int, Skeleton]:
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for user in user_ids:
                prefix = self._prefix(user)
                # List, then floor: a trim in between shows ids that the floor then drops, never too few.
                pipeline.lrange(f"{prefix}h:{user}", 0, -1)
                pipeline.hget(f"{prefix}floors", str(user))
                pipeline.sinter([f"{prefix}o:{user}", f"{prefix}pulled"])
            answers = await pipeline.execute()
            pulled = {int(author) for authors in answers[2::3] for author in authors}
            lists = await self._pulled(sorted(pulled))
        skeletons = {}
        for user, posts, floor, authors in zip(user_ids, answers[0::3], answers[1::3], answers[2::3], strict=True):
            ids, lowest = {int(post) for post in posts}, int(floor or 0)
            for author in authors:
                more, floor_of_author = lists[int(author)]
                ids |= more
                lowest = max(lowest, floor_of_author)
            skeletons[user] = Skeleton(sorted((post for post in ids if post > lowest), reverse=True), lowest)
        return skeletons

    async def _pulled(self, authors: Sequence[int]) -> dict[int, tuple[set[int], int]]:
        if not authors:
            return {}
        pipeline = self._redis.pipeline(transaction=False)
        for author in authors:
            prefix = self._prefix(author)
            pipeline.lrange(f"{prefix}t:{author}", 0, -1)
            pipeline.hget(f"{prefix}floors", f"t{author}")
        answers = await pipeline.execute()
        return {
            author: ({int(post) for post in posts}, int(floor or 0))
            for author, posts, floor in zip(authors, answers[0::2], answers[1::2], strict=True)
        }

    async def following_of(self, user_id: int) -> list[int]:
        """Whom ``user_id`` follows, in no order."""
        async with reaching_redis():
            return [int(author) for author in await self._redis.smembers(f"{self._prefix(user_id)}o:{user_id}")]

    async def follows_any(self, user_id: int, author_ids: Collection[int]) -> set[int]:
        """Those of ``author_ids`` whom ``user_id`` follows."""
        if not author_ids:
            return set()
        asked = list(author_ids)
        async with reaching_redis():
            answers = await self._redis.smismember(f"{self._prefix(user_id)}o:{user_id}", [str(a) for a in asked])
        return {author for author, follows in zip(asked, answers, strict=True) if follows}

    async def follower_count(self, user_id: int) -> int:
        """How many follow ``user_id``: exact, over all buckets."""
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in range(self._count):
                pipeline.scard(f"hf{self._generation}:{{{bucket}}}:f:{user_id}")
            return sum(await pipeline.execute())

    async def followers(self, user_id: int) -> set[int]:
        """Everybody who follows ``user_id``."""
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in range(self._count):
                pipeline.smembers(f"hf{self._generation}:{{{bucket}}}:f:{user_id}")
            return {int(follower) for members in await pipeline.execute() for follower in members}

    async def following_count(self, user_id: int) -> int:
        """How many ``user_id`` follows."""
        async with reaching_redis():
            return int(await self._redis.scard(f"{self._prefix(user_id)}o:{user_id}"))

    async def timeline(self, author_id: int) -> tuple[list[int], int]:
        """The author's newest posts, newest first, and the timeline's floor."""
        prefix = self._prefix(author_id)
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.lrange(f"{prefix}t:{author_id}", 0, -1)
            pipeline.hget(f"{prefix}floors", f"t{author_id}")
            posts, floor = await pipeline.execute()
        return sorted((int(post) for post in posts), reverse=True), int(floor or 0)

    async def fence(self, user_id: int, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` this person's feed is complete; -1 for nothing."""
        async with reaching_redis():
            stored = await self._redis.hget(f"{self._prefix(user_id)}fences", f"{PUSH}:{tp}")
        return int(stored.split()[0]) if stored else -1
