"""What readers ask of the home feed: skeletons, and the relations that the rules need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any, NamedTuple

from schemas.ids import MAX_ID
from sinks.home_feed_buckets import HOME_FEEDS, PUSH, Feeds
from sinks.home_feed_watch import GenerationWatch
from sinks.redis import Redis, reaching_redis
from streams.buckets import bucket_of
from streams.records import TopicPartition

_MANY = 500
"""People in one round trip of a bulk read."""


class Skeleton(NamedTuple):
    """``ids``: newest first, every post above ``floor`` of every author one follows, and possibly posts that the
    rules drop (deleted, unfollowed). At and below ``floor`` the feed goes on in Cassandra; 0 means it holds all.

    ``asleep``: this person was not seen for long, and has no feed until they are woken; all of it is in Cassandra."""

    ids: list[int]
    floor: int
    asleep: bool = False


ASLEEP = Skeleton([], MAX_ID - 1, True)


class HomeFeedReader:
    """Reads one generation of the home feed. Every method raises ``StoreAway``.

    With a ``watch``, as gateways have, it raises ``Healing``, a ``StoreAway``, rather than to answer from a bucket that
    lost data and has not come back: the check costs one short command in the same round trip. Without one, jobs read
    what there is.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        generation: int,
        buckets: int,
        watch: GenerationWatch | None = None,
        feeds: Feeds = HOME_FEEDS,
    ) -> None:
        self._redis = redis
        self._prefix = feeds.prefix
        self.generation = generation
        self._count = buckets
        self._watch = watch

    def _bucket(self, user_id: int) -> int:
        return bucket_of(user_id, self._count)

    def _key(self, user_id: int, name: str) -> str:
        """The key ``name`` in the bucket of ``user_id``."""
        return self._in(self._bucket(user_id), name)

    def _in(self, bucket: int, name: str) -> str:
        return f"{self._prefix}{self.generation}:{{{bucket}}}:{name}"

    async def _read(self, buckets: Collection[int], commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The answers of ``commands`` to ``buckets``, in one round trip."""
        watch = self._watch
        expected = watch.expected(sorted(set(buckets))) if watch else {}
        async with watch.circuit.reaching() if watch else reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            # Last, so that what is lost before or between the others shows.
            for bucket in expected:
                pipeline.hmget(self._in(bucket, "history"), "born", "moves")
            answers = await pipeline.execute()
        if watch:
            watch.confirm(expected, answers[len(commands) :])
        return answers[: len(commands)]

    async def skeleton(self, user_id: int) -> Skeleton:
        """One person's feed."""
        return (await self.skeletons([user_id]))[user_id]

    async def skeletons(self, user_ids: Collection[int]) -> dict[int, Skeleton]:
        """The feeds of ``user_ids``: one round trip, and a second one where somebody follows a pulled author."""
        found: dict[int, Skeleton] = {}
        rest = iter(user_ids)
        while some := list(islice(rest, _MANY)):
            found.update(await self._skeletons(some))
        return found

    async def _skeletons(self, user_ids: Sequence[int]) -> dict[int, Skeleton]:
        commands: list[Sequence[Any]] = []
        for user in user_ids:
            # Whether asleep, both first and last: the sweep can come in between, and so can the end of a waking.
            commands.append(("HGET", self._key(user, "asleep"), user))
            # List, then floor: a trim in between shows ids that the floor then drops, never too few.
            commands.append(("LRANGE", self._key(user, f"h:{user}"), 0, -1))
            commands.append(("HGET", self._key(user, "floors"), user))
            commands.append(("SINTER", self._key(user, f"o:{user}"), self._key(user, "pulled")))
            commands.append(("HGET", self._key(user, "asleep"), user))
        answers = await self._read([self._bucket(user) for user in user_ids], commands)
        lists = await self._pulled(sorted({int(author) for authors in answers[3::5] for author in authors}))
        skeletons = {}
        for n, user in enumerate(user_ids):
            before, posts, floor, authors, after = answers[5 * n : 5 * n + 5]
            if before or after:
                skeletons[user] = ASLEEP
                continue
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
        commands: list[Sequence[Any]] = []
        for author in authors:
            commands.append(("LRANGE", self._key(author, f"t:{author}"), 0, -1))
            commands.append(("HGET", self._key(author, "floors"), f"t{author}"))
        answers = await self._read([self._bucket(author) for author in authors], commands)
        return {
            author: ({int(post) for post in posts}, int(floor or 0))
            for author, posts, floor in zip(authors, answers[0::2], answers[1::2], strict=True)
        }

    async def following_of(self, user_id: int) -> list[int]:
        """Whom ``user_id`` follows, in no order."""
        (authors,) = await self._read([self._bucket(user_id)], [("SMEMBERS", self._key(user_id, f"o:{user_id}"))])
        return [int(author) for author in authors]

    async def follower_count(self, user_id: int) -> int:
        """How many follow ``user_id``, awake or asleep: exact, over all buckets."""
        return sum(await self._read(range(self._count), self._of_followers("SCARD", user_id)))

    async def followers(self, user_id: int) -> set[int]:
        """Everybody who follows ``user_id``, awake or asleep."""
        answers = await self._read(range(self._count), self._of_followers("SMEMBERS", user_id))
        return {int(follower) for members in answers for follower in members}

    def _of_followers(self, command: str, user_id: int) -> list[Sequence[Any]]:
        return [(command, self._in(bucket, f"{kind}:{user_id}")) for bucket in range(self._count) for kind in "fz"]

    async def following_count(self, user_id: int) -> int:
        """How many ``user_id`` follows."""
        (count,) = await self._read([self._bucket(user_id)], [("SCARD", self._key(user_id, f"o:{user_id}"))])
        return int(count)

    async def timeline(self, author_id: int) -> tuple[list[int], int]:
        """The author's newest posts, newest first, and the timeline's floor."""
        posts, floor = (await self._pulled([author_id]))[author_id]
        return sorted(posts, reverse=True), floor

    async def fence(self, user_id: int, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` this person's feed is complete; -1 for nothing."""
        command = ("HGET", self._key(user_id, "fences"), f"{PUSH}:{tp}")
        (stored,) = await self._read([self._bucket(user_id)], [command])
        return int(stored.split()[0]) if stored else -1
