"""The buckets of the home feed in Redis: scripts that check the fences, apply writes and move the fences, atomically.

Keys of bucket 5 of generation 1, all under ``hf1:{5}:`` (the braces keep a bucket on one node of a cluster; story
trays, which are feeds of stories, are under ``tr1:{5}:``):
``h:USER`` feed · ``o:USER`` whom they follow · ``f:AUTHOR`` their followers who live in this bucket · ``z:AUTHOR``
followers who are asleep · ``asleep`` people without a whole feed, as asleep or waking · ``big`` authors who are pulled
from now on · ``pulled`` authors with posts that were not pushed here · ``floors`` · ``fences`` · ``history`` when the
bucket began, and how often its fences moved; and in the author's own bucket ``t:AUTHOR`` timeline · ``d:AUTHOR``
deleted posts. Of no generation: ``seen:{5}``, when its people were last seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from sinks.redis import Redis, reaching_redis
from sinks.scripts import ScriptCall, Scripts, joined
from streams.records import Spans

Word = int | str
STATE, PUSH = "1", "2"
"""The two passes: timelines and follower sets, then feeds."""
SLEEP = "sleep"
"""The calls for people who come and go, which belong to no pass."""


class Feeds(NamedTuple):
    """Which feeds: what their keys begin with before the generation, and the topic that brings what stands in them."""

    prefix: str
    posts: str


HOME_FEEDS = Feeds("hf", "posts")
TRAYS = Feeds("tr", "stories")
_encode = msgspec.msgpack.Encoder().encode
_counts_and_marks = msgspec.msgpack.Decoder(tuple[list[int], list[str]])


def packed(write: Sequence[Word]) -> bytes:
    """A write as the scripts read it: a MessagePack list. Ids are to be strings, since Lua's numbers are doubles."""
    return _encode(write)


class Call(NamedTuple):
    """One script call. ``limits`` are (field, highest pass-2 fence) that a backfill's source allows; each of ``writes``
    is ``packed``, so that what goes to several buckets is packed once."""

    bucket: int
    which: str
    spans: Spans
    limits: Sequence[tuple[str, int]]
    writes: Sequence[bytes]


class Reply(NamedTuple):
    """``state`` is ok, behind or remade; ``counts`` and ``marks`` are pass 1's answers, and those for sleepers."""

    state: str
    counts: Sequence[int]
    marks: Sequence[str]


class Timeline(NamedTuple):
    """An author's newest posts, with the fence of pass 1 read *before* them, and the timeline's floor ('' for none)."""

    fence: int
    floor: str
    posts: Sequence[str]


class Buckets(Protocol):
    """The store of the home feed, as its sink sees it."""

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        """Run calls for different buckets; each is atomic, and none depends on another."""

    async def timelines(self, wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        """The timelines of (bucket, author, field), where ``field`` names the partition of the author's posts."""

    async def fences(self) -> list[dict[str, tuple[int, str]]]:
        """For each bucket, ``pass:field`` → (offset, topic id)."""


class RedisBuckets:
    """``Buckets`` on one Redis, or on one node of many."""

    def __init__(
        self,
        redis: Redis,
        topic_ids: dict[str, str],
        *,
        generation: int,
        buckets: int,
        cap: int,
        slack: int,
        feeds: Feeds = HOME_FEEDS,
    ) -> None:
        self._redis = redis
        self._topic_ids = topic_ids
        self._prefixes = [f"{feeds.prefix}{generation}:{{{bucket}}}:" for bucket in range(buckets)]
        self._bounds = (cap, slack)
        names = {STATE: "home_feed_state", PUSH: "home_feed_push", SLEEP: "home_feed_sleep"}
        self._scripts = Scripts(redis, {which: joined("fenced", name) for which, name in names.items()})

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        answers = await self._scripts.run(
            [
                ScriptCall(call.which, self._prefixes[call.bucket] + "fences", (self._head(call), array(call.writes)))
                for call in calls
            ]
        )
        return [_reply(answer) for answer in answers]

    def _head(self, call: Call) -> bytes:
        spans: list[Word] = []
        for tp, span in call.spans.items():
            spans += (str(tp), self._topic_ids[tp.topic], span.prior, span.last)
        limits = [word for limit in call.limits for word in limit]
        return _encode((self._prefixes[call.bucket], call.which, *self._bounds, spans, limits))

    async def timelines(self, wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for bucket, author, field in wanted:
                prefix = self._prefixes[bucket]
                pipeline.hget(prefix + "fences", f"{STATE}:{field}")
                pipeline.lrange(f"{prefix}t:{author}", 0, -1)
                pipeline.hget(prefix + "floors", f"t{author}")
            answers = await pipeline.execute()
        # The floor is read after the posts: what a trim in between evicts from the list is not missed below it.
        return [
            Timeline(
                int(fence.split()[0]) if fence else -1,
                (floor or b"").decode(),
                [post.decode() for post in posts],
            )
            for fence, posts, floor in zip(answers[0::3], answers[1::3], answers[2::3], strict=True)
        ]

    async def fences(self) -> list[dict[str, tuple[int, str]]]:
        return await stored_fences(self._redis, self._prefixes)


async def stored_fences(redis: Redis, prefixes: Sequence[str]) -> list[dict[str, tuple[int, str]]]:
    """For each bucket, by the ``prefixes`` of their keys, ``pass:topic-partition`` → (offset, topic id)."""
    async with reaching_redis():
        pipeline = redis.pipeline(transaction=False)
        for prefix in prefixes:
            pipeline.hgetall(prefix + "fences")
        answers = await pipeline.execute()
    return [
        {field.decode(): (int(offset), topic_id.decode()) for field, (offset, topic_id) in parsed}
        for parsed in (((field, value.split()) for field, value in answer.items()) for answer in answers)
    ]


def array(packed_writes: Sequence[bytes]) -> bytes:
    """One MessagePack list of what is packed already."""
    return b"\xdd" + len(packed_writes).to_bytes(4, "big") + b"".join(packed_writes)


def _reply(raw: Sequence[Any]) -> Reply:
    state = raw[0].decode()
    if state != "ok" or len(raw) < 2:
        return Reply(state, (), ())
    return Reply(state, *_counts_and_marks.decode(raw[1]))
