"""People who have not been seen for long: the fan-out passes them over, and their feed is made again when they return.

When somebody was seen is not in the log and not of one generation (``seen:{bucket}``, times in ms). It decides only
push or pull, never what is in a feed: whoever is wrongly asleep wakes at their next read.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

from sinks.home_feed_buckets import SLEEP, Buckets, Call, Reply, Word, packed
from sinks.partitioning import partition_of
from sinks.redis import Redis, reaching_redis
from streams.buckets import bucket_of
from streams.records import TopicPartition

DAY_MS = 86_400_000
_TIMELINES = 100
"""Timelines read in one round trip: some 50,000 ids."""
_LOOKED_AT = 200
_PUT_TO_SLEEP = 20
"""People looked at, and put to sleep, in one bucket and step of the sweep: holds Redis for a few ms."""
_ADOPTED = 500
"""Keys looked at in one step for people of whom nothing is known yet."""
_REMEMBERED = 100_000


class Sleepers:
    """Puts people to sleep and wakes them, in ``count`` buckets of one generation."""

    def __init__(
        self,
        buckets: Buckets,
        *,
        count: int,
        cap: int,
        partitions: int,
        place: Callable[[bytes, int], int] = partition_of,
    ) -> None:
        """``cap`` is a feed's, ``partitions`` those of the topic posts; ``place`` says in which of so many a key is."""
        self._buckets = buckets
        self._count = count
        self._cap = cap
        self._partitions, self._place = partitions, place

    async def put_to_sleep(self, user_ids: Collection[int], cutoff: int) -> int:
        """Those of ``user_ids`` who were last seen at ``cutoff`` (ms) or before fall asleep; how many. Nothing happens
        to people of whom nobody knows when they were seen. Raises ``StoreAway``."""
        drafts: dict[int, list[bytes]] = {}
        for user in user_ids:
            drafts.setdefault(bucket_of(user, self._count), []).append(packed(("S", str(user), cutoff)))
        replies = await self._buckets.call([Call(b, SLEEP, {}, (), draft) for b, draft in drafts.items()])
        return sum(sum(reply.counts) for reply in replies)

    async def wake(self, user_id: int) -> bool:
        """Make the feed of ``user_id`` whole again, who may be asleep, half awake, or awake.

        False where it could not be: a bucket that lost data has timelines older than what is in the feed already. It
        can be tried again. Nothing is lost by a crash: the person is asleep or waking then, and this begins anew.
        Raises ``StoreAway``.
        """
        begun = await self._call(user_id, (), ("B", str(user_id)))
        if begun.counts == [0]:
            return True
        limits: dict[str, int] = {}
        floor, newest = await self._merged(begun.marks, limits)
        words = [word for post, author in newest for word in (author, post)]
        return (await self._call(user_id, [*limits.items()], ("E", str(user_id), floor, *words))).state == "ok"

    async def _merged(self, authors: Sequence[str], fences: dict[str, int]) -> tuple[str, list[tuple[str, str]]]:
        """The newest (post, author) of all timelines, as many as a feed holds, and the floor above which none is
        missing. ``fences`` gets how far the timelines of each partition were at least.

        Each is read with its timeline: of fences read before all of them, a bucket that goes back in between says
        nothing of what its timelines still hold.
        """
        floor = ""
        newest: list[tuple[str, str]] = []
        for some in _chunks(authors, _TIMELINES):
            fields = [str(TopicPartition("posts", self._place(author.encode(), self._partitions))) for author in some]
            wanted = [
                (bucket_of(int(author), self._count), int(author), field)
                for author, field in zip(some, fields, strict=True)
            ]
            timelines = await self._buckets.timelines(wanted)
            for author, field, timeline in zip(some, fields, timelines, strict=True):
                fences[field] = min(fences.get(field, timeline.fence), timeline.fence)
                floor = max(floor, timeline.floor)
                newest += ((post, author) for post in timeline.posts)
            newest = sorted({pair for pair in newest if pair[0] > floor}, reverse=True)
            if len(newest) > self._cap:
                floor = max(floor, newest[self._cap][0])
                del newest[self._cap :]
        return floor, newest

    async def _call(self, user_id: int, limits: Sequence[tuple[str, int]], write: Sequence[Word]) -> Reply:
        bucket = bucket_of(user_id, self._count)
        (reply,) = await self._buckets.call([Call(bucket, SLEEP, {}, limits, [packed(write)])])
        return reply


def _chunks(words: Sequence[str], size: int) -> Iterator[list[str]]:
    rest = iter(words)
    while some := list(islice(rest, size)):
        yield some


class Seen:
    """Notes when people were seen: each gateway once an hour of a person, or oftener where the limit is short."""

    def __init__(self, redis: Redis, *, buckets: int, inactive_days: float) -> None:
        self._redis = redis
        self._count = buckets
        self._seconds = min(3600.0, inactive_days * DAY_MS / 1000 / 24)
        self._noted: OrderedDict[int, float] = OrderedDict()

    async def note(self, user_id: int) -> None:
        """``user_id`` is here now. Raises ``StoreAway``."""
        now = time.monotonic()
        noted = self._noted.get(user_id)
        if noted is not None and now - noted < self._seconds:
            return
        async with reaching_redis():
            bucket = bucket_of(user_id, self._count)
            await self._redis.zadd(f"seen:{{{bucket}}}", {str(user_id): time.time_ns() // 1_000_000}, gt=True)
        self._noted[user_id] = now
        self._noted.move_to_end(user_id)
        if len(self._noted) > _REMEMBERED:
            self._noted.popitem(last=False)


class Sweep:
    """Goes round all people, a few at each step, and puts those to sleep who were not seen for ``inactive_days``.

    Any number of sweeps may run at once, and each may stop at any moment.
    """

    def __init__(
        self, redis: Redis, sleepers: Sleepers, *, generation: int, buckets: int, inactive_days: float
    ) -> None:
        self._redis = redis
        self._sleepers = sleepers
        self._prefix = f"hf{generation}:"
        self._count = buckets
        self._inactive_ms = int(inactive_days * DAY_MS)
        self._ranks = [0] * buckets
        self._cursor = 0

    async def step(self, now: int) -> int:
        """Look at the next few people of each bucket, ``now`` being the time in ms; how many fell asleep. Raises
        ``StoreAway``."""
        await self._adopt(now)
        cutoff = now - self._inactive_ms
        candidates = [user for bucket in range(self._count) for user in await self._candidates(bucket, cutoff)]
        return await self._sleepers.put_to_sleep(candidates, cutoff) if candidates else 0

    async def _candidates(self, bucket: int, cutoff: int) -> list[int]:
        begun = self._ranks[bucket]
        async with reaching_redis():
            looked_at: Any = await self._redis.zrange(
                f"seen:{{{bucket}}}", begun, begun + _LOOKED_AT - 1, withscores=True
            )
            late = [user for user, seen in looked_at if float(seen) <= cutoff]
            states = await self._redis.hmget(f"{self._prefix}{{{bucket}}}:asleep", late) if late else []
        awake = [n for n, state in enumerate(states) if state != b"asleep"]
        found = [int(late[n]) for n in awake[:_PUT_TO_SLEEP]]
        if len(awake) > _PUT_TO_SLEEP:
            self._ranks[bucket] = begun + awake[_PUT_TO_SLEEP]
        else:
            self._ranks[bucket] = begun + _LOOKED_AT if len(late) == _LOOKED_AT else 0
        return found

    async def _adopt(self, now: int) -> None:
        """Whoever follows somebody and was never seen counts as seen now: their time begins."""
        async with reaching_redis():
            keys: list[bytes]
            pattern = f"{self._prefix}{{*}}:o:*"
            self._cursor, keys = await self._redis.scan(self._cursor, match=pattern, count=_ADOPTED)  # type: ignore[assignment]
            pipeline = self._redis.pipeline(transaction=False)
            for key in keys:
                bucket, _, user = key.decode().removeprefix(self._prefix).split(":")
                pipeline.zadd(f"seen:{bucket}", {user: now}, nx=True)
            await pipeline.execute()
