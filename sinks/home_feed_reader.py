"""What readers ask of the home feed: skeletons, and the relations that the rules need."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import chain, islice
from operator import neg
from typing import Any, NamedTuple

import msgspec

from schemas.ids import MAX_ID
from sinks.gathered import Asked, Gathered, Read
from sinks.home_feed_buckets import HOME_FEEDS, PUSH, Feeds
from sinks.home_feed_watch import GenerationWatch
from sinks.redis import Redis, RedisCluster, reaching_redis
from sinks.scripts import ScriptCall, Scripts, joined
from streams.buckets import bucket_of
from streams.records import TopicPartition

_MANY = 500
"""People in one round trip of a bulk read."""
_REMEMBERED = 10_000
"""Readers of whom is known whose timelines they took."""


class Skeleton(NamedTuple):
    """``ids``: newest first, every post above ``floor`` of every author one follows, and possibly posts that the
    rules drop (deleted, unfollowed). At and below ``floor`` the feed goes on in Cassandra; 0 means it holds all.

    ``asleep``: this person was not seen for long, and has no feed until they are woken; all of it is in Cassandra."""

    ids: list[int]
    floor: int
    asleep: bool = False


ASLEEP = Skeleton([], MAX_ID - 1, True)
_Question = tuple[str, int]
"""``h``, the feed, or ``t``, the timeline, and of whom."""


class Entries(NamedTuple):
    """A feed with those authors whose timelines belong to it, or a timeline, which has none. ``posts``: newest first,
    possibly some of them twice."""

    asleep: bool
    floor: int
    pulled: list[int]
    posts: list[int]


def newest_of(lists: Sequence[Entries], before: int, count: int | None) -> Skeleton:
    """What ``lists`` hold together below ``before``; of each the newest ``count``, which leaves those of all."""
    ids: set[int] = set()
    lowest = 0
    for one in lists:
        begin = bisect_right(one.posts, -before, key=neg)
        end = len(one.posts) if count is None else begin + count
        ids.update(one.posts[begin:end])
        # What a list has left out may stand anywhere below the last that was taken of it.
        lowest = max(lowest, one.floor, one.posts[end - 1] - 1 if end < len(one.posts) else 0)
    found = sorted(ids, reverse=True)
    return Skeleton(found[: bisect_left(found, -lowest, key=neg)], lowest)


_encode = msgspec.msgpack.Encoder().encode
_lists = msgspec.msgpack.Decoder(tuple[list[Entries], list[Entries]], strict=False).decode
"""Ids come as strings, and are numbers here."""


class HomeFeedReader:
    """Reads one generation of the home feed. Every method raises ``StoreAway``.

    With a ``watch``, as gateways have, it raises ``Healing``, a ``StoreAway``, rather than to answer from a bucket that
    lost data and has not come back: the check is part of the same round trip. Without one, jobs read
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
        reaching = watch.circuit.reaching if watch else reaching_redis
        self._scripts = Scripts(redis, {"read": joined("home_feed_read")}, reaching)
        self._gathered = Gathered(self._read_lists, watch)
        self._pulled: dict[int, list[int]] = {}

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
        """The feeds of ``user_ids``: one round trip, and a second one where somebody follows a pulled author who was
        not known of; both are shared with others."""
        found: dict[int, Skeleton] = {}
        rest = iter(user_ids)
        while some := list(islice(rest, _MANY)):
            found.update(await self._skeletons(some))
        return found

    async def newest(self, user_id: int, before: int, count: int) -> Skeleton:
        """Of one person's feed the newest below ``before``: ``count`` of them, where there are so many. Its floor is
        below these: all that a page looks at, at the price of a page."""
        return (await self._skeletons([user_id], before, count))[user_id]

    async def _skeletons(
        self, user_ids: Sequence[int], before: int = MAX_ID + 1, count: int | None = None
    ) -> dict[int, Skeleton]:
        guessed = {author for user in user_ids for author in self._pulled.get(user, ())}
        lists = await self._ask([*(("h", user) for user in user_ids), *(("t", author) for author in guessed)])
        pulled = {author for user in user_ids for author in lists["h", user].pulled}
        if missing := pulled - guessed:
            lists |= await self._ask([("t", author) for author in missing])
        skeletons = {}
        for user in user_ids:
            feed = lists["h", user]
            self._remember(user, feed.pulled)
            if feed.asleep:
                skeletons[user] = ASLEEP
                continue
            timelines = (lists["t", author] for author in feed.pulled)
            skeletons[user] = newest_of([feed, *timelines], before, count)
        return skeletons

    def _remember(self, user_id: int, pulled: list[int]) -> None:
        """Whose timelines a feed took, to be asked for together with it the next time. Maybe too many or too few."""
        self._pulled.pop(user_id, None)
        if pulled:
            self._pulled[user_id] = pulled
            if len(self._pulled) > _REMEMBERED:
                del self._pulled[next(iter(self._pulled))]

    async def _ask(self, questions: Collection[_Question]) -> dict[_Question, Entries]:
        wanted: dict[int, list[_Question]] = {}
        for question in questions:
            wanted.setdefault(self._bucket(question[1]), []).append(question)
        answers = await self._gathered.ask(wanted)
        return {question: answers[bucket][question] for bucket, some in wanted.items() for question in some}

    async def _read_lists(self, asked: Asked[_Question]) -> Read[dict[_Question, Entries]]:
        # Feeds first, in all buckets: a timeline has what is above the fences of the feeds that were read before it.
        reads = [
            (bucket, kind, people)
            for kind in "ht"
            for bucket, questions in asked.items()
            if (people := [person for own, person in questions if own == kind])
        ]
        calls: list[ScriptCall] = []
        for bucket, kind, people in reads:
            prefix, ids = self._in(bucket, ""), [str(person) for person in people]
            lists = (ids, ()) if kind == "h" else ((), ids)
            calls.append(ScriptCall("read", prefix + "fences", (_encode((prefix, *lists)),)))
        feeds = sum(kind == "h" for _, kind, _ in reads)
        if isinstance(self._redis, RedisCluster):  # whose nodes answer each in its own time
            answers = [*await self._scripts.run(calls[:feeds]), *await self._scripts.run(calls[feeds:])]
        else:
            answers = await self._scripts.run(calls)
        found: dict[int, tuple[Sequence[bytes | None], dict[_Question, Entries]]] = {}
        for (bucket, kind, people), (born, moves, packed) in zip(reads, answers, strict=True):
            read = found[bucket][1] if bucket in found else {}
            for person, one in zip(people, chain(*_lists(packed)), strict=True):
                one.posts.sort(reverse=True)  # nearly so as they came
                read[kind, person] = one
            found[bucket] = (born, moves), read  # what its history is after the last of the reads
        return found

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
        timeline = (await self._ask([("t", author_id)]))["t", author_id]
        return timeline.posts, timeline.floor

    async def fence(self, user_id: int, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` this person's feed is complete; -1 for nothing."""
        command = ("HGET", self._key(user_id, "fences"), f"{PUSH}:{tp}")
        (stored,) = await self._read([self._bucket(user_id)], [command])
        return int(stored.split()[0]) if stored else -1
