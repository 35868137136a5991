"""The home feed's sink: two passes over the buckets, with separate fences.

Pass 1 brings timelines and follower sets up to date in every bucket. Pass 2, after all buckets have confirmed,
pushes into feeds and reconciles follows and unfollows with the author's timeline. With one pass, a follow that is
applied and a crash before its backfill would lose posts, and so would a push that overtakes a timeline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from sinks.errors import FenceBehind, LogRemade
from sinks.home_feed_buckets import PUSH, STATE, Argument, Buckets, Call, Reply, Timeline
from streams.buckets import bucket_of
from streams.home_feed import FanOut, FeedWrite, Follow, Unfollow, Withdraw
from streams.records import Span, Spans, TopicPartition
from streams.views import Mark

CALL_COST = 8_000
"""Deliveries after which a call is cut, so that Redis is held for a few ms only."""
GROUP_FROM = 100
"""Posts in a call from which gathering the pushes by follower pays."""
CALM = 0.8
"""A pulled author is pushed again below this share of the threshold: hysteresis."""


@dataclass
class _Draft:
    """The pass-2 calls of one bucket, in the making."""

    calls: list[Call] = field(default_factory=list)
    writes: list[Argument] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    cost: int = 0
    pushes: int = 0


class HomeFeedSink:
    """Applies the home feed's writes to ``buckets`` (shape: ``count`` of them), exactly once in effect."""

    def __init__(self, buckets: Buckets, topic_ids: dict[str, str], *, count: int, pull_threshold: int) -> None:
        self._buckets = buckets
        self._topic_ids = topic_ids
        self._count = count
        self._pull_threshold = pull_threshold

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        stored = await self._buckets.fences()
        lowest: dict[TopicPartition, int] = {}
        for tp in partitions:
            held = {which: [bucket.get(f"{which}:{tp}", (-1, "")) for bucket in stored] for which in (STATE, PUSH)}
            for offset, topic_id in held[STATE] + held[PUSH]:
                if offset >= 0 and topic_id != self._topic_ids[tp.topic]:
                    raise _remade(tp)
            lowest[tp] = min(offset for offset, _ in held[STATE] + held[PUSH])
        return lowest

    async def apply(self, writes: Sequence[FeedWrite], spans: Spans) -> None:
        index = {tp: n for n, tp in enumerate(spans, 1)}
        if not writes and all(span.prior == span.last for span in spans.values()):
            await self._call([Call(b, PUSH, spans, (), ("0",)) for b in range(self._count)], spans)
            return
        marks, counts = await self._first_pass(writes, spans, index)
        timelines = await self._timelines(writes)
        drafts = self._second_pass(writes, spans, index, marks, counts, timelines)
        for n in range(max(len(draft.calls) for draft in drafts)):
            await self._call([draft.calls[n] for draft in drafts if n < len(draft.calls)], spans)

    async def _call(self, calls: Sequence[Call], spans: Spans) -> list[Reply]:
        replies = await self._buckets.call(calls)
        for call, reply in zip(calls, replies, strict=True):
            if reply.state == "remade":
                raise _remade(next(iter(call.spans)))
        if any(reply.state == "behind" for reply in replies):
            sources = {_partition(field) for call in calls for field, _ in call.limits}
            raise FenceBehind(await self.fences({*spans, *sources}))
        return replies

    async def _first_pass(
        self, writes: Sequence[FeedWrite], spans: Spans, index: dict[TopicPartition, int]
    ) -> tuple[dict[Mark, str], dict[int, list[int]]]:
        """'push' or 'skip' for each FanOut, and how many followers each author has in each bucket."""
        drafts: list[list[Argument]] = [[] for _ in range(self._count)]
        fan_outs: list[list[FanOut]] = [[] for _ in range(self._count)]
        authors: dict[int, None] = {}
        for write in writes:
            at = (index[write.mark.tp], write.mark.offset)
            match write:
                case Follow() | Unfollow():
                    kind = "F" if isinstance(write, Follow) else "U"
                    drafts[self._bucket(write.follower)] += (kind, *at, write.follower, write.followee)
                case FanOut():
                    authors[write.author] = None
                    home = self._bucket(write.author)
                    drafts[home] += ("T", *at, write.author, write.post)
                    fan_outs[home].append(write)
                case Withdraw():
                    authors[write.author] = None
                    drafts[self._bucket(write.author)] += ("X", *at, write.author, write.post)
        tail: tuple[Argument, ...] = ("C", *authors)
        replies = await self._call(
            [Call(b, STATE, spans, (), (*draft, *tail)) for b, draft in enumerate(drafts)], spans
        )
        marks = {
            write.mark: mark
            for made, reply in zip(fan_outs, replies, strict=True)
            for write, mark in zip(made, reply.marks, strict=True)
        }
        return marks, {author: [reply.counts[n] for reply in replies] for n, author in enumerate(authors)}

    async def _timelines(self, writes: Sequence[FeedWrite]) -> dict[int, Timeline]:
        """The timelines of all who are followed or unfollowed, read after pass 1."""
        followees = {w.followee: w.mark.tp.partition for w in writes if isinstance(w, Follow | Unfollow)}
        if not followees:
            return {}
        wanted = [(self._bucket(a), a, str(TopicPartition("posts", p))) for a, p in followees.items()]
        return dict(zip(followees, await self._buckets.timelines(wanted), strict=True))

    def _second_pass(
        self,
        writes: Sequence[FeedWrite],
        spans: Spans,
        index: dict[TopicPartition, int],
        marks: dict[Mark, str],
        counts: dict[int, list[int]],
        timelines: dict[int, Timeline],
    ) -> list[_Draft]:
        drafts = [_Draft() for _ in range(self._count)]
        position = {tp: span.prior for tp, span in spans.items()}
        begun = [dict(position) for _ in drafts]

        def cut(n: int, reached: dict[TopicPartition, int]) -> None:
            draft = drafts[n]
            moved = {tp: Span(begun[n][tp], max(reached[tp], begun[n][tp])) for tp in spans}
            group = "1" if draft.pushes >= GROUP_FROM else "0"
            draft.calls.append(Call(n, PUSH, moved, tuple(draft.limits.items()), (group, *draft.writes)))
            begun[n] = {tp: span.last for tp, span in moved.items()}
            draft.writes, draft.limits, draft.cost, draft.pushes = [], {}, 0, 0

        # Posts before follows: a backfill then drops the duplicates of the batch's own pushes.
        for write in sorted(writes, key=lambda w: (w.mark.tp.topic != "posts", *w.mark)):
            for n, cost, arguments in self._pushes(write, index[write.mark.tp], marks, counts, timelines):
                draft = drafts[n]
                if draft.cost and draft.cost + cost > CALL_COST:
                    # Every offset before this one is complete in this bucket; a call never splits an offset.
                    cut(n, {**position, write.mark.tp: write.mark.offset - 1})
                draft.writes += arguments
                draft.cost += cost
                draft.pushes += isinstance(write, FanOut)
                if isinstance(write, Follow | Unfollow):
                    source = str(TopicPartition("posts", write.mark.tp.partition))
                    fence = timelines[write.followee].fence
                    draft.limits[source] = min(fence, draft.limits.get(source, fence))
            position[write.mark.tp] = write.mark.offset
        for n in range(self._count):
            cut(n, {tp: span.last for tp, span in spans.items()})
        return drafts

    def _pushes(
        self,
        write: FeedWrite,
        i: int,
        marks: dict[Mark, str],
        counts: dict[int, list[int]],
        timelines: dict[int, Timeline],
    ) -> Iterator[tuple[int, int, Sequence[Argument]]]:
        """(bucket, cost in deliveries, arguments) of one write; each bucket at most once.

        A post goes to buckets without followers too: the counts are of pass 1, and where another worker has gone on
        since (and the author's bucket was rolled back), there can be a follower by now whose backfill missed it.
        """
        offset = write.mark.offset
        if isinstance(write, Follow | Unfollow):
            timeline = timelines[write.followee]
            ids = timeline.posts
            head = ("R", i, offset, write.follower, write.followee, timeline.floor, len(ids))
            yield self._bucket(write.follower), 50 + len(ids), (*head, *ids)
            return
        in_buckets = counts[write.author]
        if isinstance(write, Withdraw):
            for n, count in enumerate(in_buckets):
                yield n, 1 + 4 * count, ("W", i, offset, write.author, write.post)
            return
        if marks[write.mark] == "skip":
            return
        total = sum(in_buckets)
        level: tuple[Argument, ...] = ()
        if total >= self._pull_threshold:
            level = ("L", write.author, "1")
        elif total < CALM * self._pull_threshold:
            level = ("L", write.author, "0")
        for n, count in enumerate(in_buckets):
            cost = 1 if total >= self._pull_threshold else 1 + count
            yield n, cost, (*level, "P", i, offset, write.author, write.post)

    def _bucket(self, user_id: int) -> int:
        return bucket_of(user_id, self._count)


def _partition(field: str) -> TopicPartition:
    topic, _, partition = field.rpartition("-")
    return TopicPartition(topic, int(partition))


def _remade(tp: TopicPartition) -> LogRemade:
    return LogRemade(
        f"the home feed was built from another incarnation of topic {tp.topic} (partition {tp.partition}): "
        "the topic was deleted and made again. Restore the log, or drop the view and let it be rebuilt."
    )
