"""The home feed's sink: two passes over the buckets, with separate fences.

Pass 1 brings timelines and follower sets up to date in every bucket. Pass 2, after all buckets have confirmed,
pushes into feeds and reconciles follows and unfollows with the author's timeline. With one pass, a follow that is
applied and a crash before its backfill would lose posts, and so would a push that overtakes a timeline.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from schemas.ids import MAX_ID
from sinks.errors import FenceBehind, LogRemade
from sinks.home_feed_buckets import HOME_FEEDS, PUSH, STATE, Buckets, Call, Feeds, Reply, Timeline, Word, packed
from streams.buckets import bucket_of
from streams.home_feed import FanOut, FeedWrite, Follow, Unfollow, Withdraw
from streams.records import Span, Spans, TopicPartition
from streams.views import Mark

CALL_COST = 14_000
"""Deliveries after which a call is cut: Redis is held for some 10 ms at most. The larger a call, the more pushes are
gathered for each follower: at 8,000, a batch of 500 posts to 400 followers each took 1.3 times as long."""
CALM = 0.8
"""A pulled author is pushed again below this share of the threshold: hysteresis."""


_AUTHORS = 100_000
"""Authors whose number of followers is remembered."""


@dataclass
class _Round:
    """One pass-2 call to every bucket, in the making: posts and withdrawals for all, follows for one bucket each."""

    count: int
    posts: list[Word] = field(default_factory=list)
    withdrawn: list[bytes] = field(default_factory=list)
    follows: list[list[bytes]] = field(init=False)
    limits: list[dict[str, int]] = field(init=False)
    costs: list[float] = field(init=False)
    cost: float = 0.0

    def __post_init__(self) -> None:
        self.follows = [[] for _ in range(self.count)]
        self.limits = [{} for _ in range(self.count)]
        self.costs = [0.0] * self.count

    def calls(self, spans: Spans) -> list[Call]:
        """Posts before withdrawals, and both before follows, whose backfills drop the duplicates of the posts."""
        shared = [packed(("P", *self.posts)), *self.withdrawn] if self.posts else self.withdrawn
        return [
            Call(n, PUSH, spans, tuple(self.limits[n].items()), [*shared, *self.follows[n]]) for n in range(self.count)
        ]


class HomeFeedSink:
    """Applies the home feed's writes to ``buckets`` (shape: ``count`` of them), exactly once in effect."""

    def __init__(
        self,
        buckets: Buckets,
        topic_ids: dict[str, str],
        *,
        count: int,
        pull_threshold: int,
        feeds: Feeds = HOME_FEEDS,
    ) -> None:
        self._buckets = buckets
        self._posts = feeds.posts
        self._topic_ids = topic_ids
        self._count = count
        self._pull_threshold = pull_threshold
        self._followers: dict[int, int] = {}
        """How many follow an author, as counted. It decides nothing but when posts are pulled, and who applies an
        author's posts also applies the follows of that author; so it is kept until one comes."""

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self._followers.clear()
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
            await self._call([Call(b, PUSH, spans, (), ()) for b in range(self._count)], spans)
            return
        skipped, followers = await self._first_pass(writes, spans, index)
        timelines = await self._timelines(writes)
        for calls in self._second_pass(writes, spans, index, skipped, followers, timelines):
            await self._call(calls, spans)

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
    ) -> tuple[set[Mark], dict[int, int]]:
        """The FanOuts that are not to be pushed (their posts are deleted, or there already), and how many follow each
        author."""
        drafts: list[list[bytes]] = [[] for _ in range(self._count)]
        fan_outs: list[list[Mark]] = [[] for _ in range(self._count)]
        authors: set[int] = set()
        for write in writes:
            mark = write.mark
            i, offset = index[mark.tp], mark.offset
            match write:
                case FanOut():
                    authors.add(write.author)
                    home = self._bucket(write.author)
                    drafts[home].append(packed(("T", i, offset, str(write.author), str(write.post))))
                    fan_outs[home].append(mark)
                case Withdraw():
                    authors.add(write.author)
                    home = self._bucket(write.author)
                    drafts[home].append(packed(("X", i, offset, str(write.author), str(write.post))))
                case Follow() | Unfollow():
                    self._followers.pop(write.followee, None)
                    kind = "F" if isinstance(write, Follow) else "U"
                    words = (kind, i, offset, str(write.follower), str(write.followee))
                    drafts[self._bucket(write.follower)].append(packed(words))
        if len(self._followers) > _AUTHORS:
            self._followers.clear()
        counts = {author: self._followers.get(author) for author in authors}
        uncounted = [author for author, followers in counts.items() if followers is None]
        count = [packed(("C", *map(str, uncounted)))] if uncounted else []
        replies = await self._call([Call(b, STATE, spans, (), draft + count) for b, draft in enumerate(drafts)], spans)
        counted = dict(zip(uncounted, map(sum, zip(*(r.counts for r in replies), strict=True)), strict=True))
        self._followers.update(counted)
        skipped = {
            mark
            for made, reply in zip(fan_outs, replies, strict=True)
            for mark, what in zip(made, reply.marks, strict=True)
            if what == "skip"
        }
        return skipped, {author: counted.get(author, followers or 0) for author, followers in counts.items()}

    async def _timelines(self, writes: Sequence[FeedWrite]) -> dict[int, Timeline]:
        """The timelines of all who are followed or unfollowed, read after pass 1."""
        followees = {w.followee: w.mark.tp.partition for w in writes if isinstance(w, Follow | Unfollow)}
        if not followees:
            return {}
        wanted = [(self._bucket(a), a, str(TopicPartition(self._posts, p))) for a, p in followees.items()]
        return dict(zip(followees, await self._buckets.timelines(wanted), strict=True))

    def _second_pass(
        self,
        writes: Sequence[FeedWrite],
        spans: Spans,
        index: dict[TopicPartition, int],
        skipped: set[Mark],
        followers: dict[int, int],
        timelines: dict[int, Timeline],
    ) -> list[list[Call]]:
        """Rounds of calls, one to each bucket. A post goes to buckets without followers too: where another worker has
        gone on since pass 1, there can be a follower by now whose backfill missed it."""
        rounds: list[list[Call]] = []
        begun = {tp: span.prior for tp, span in spans.items()}
        position = dict(begun)
        draft = _Round(self._count)

        def cut(reached: dict[TopicPartition, int]) -> None:
            nonlocal draft, begun
            rounds.append(draft.calls({tp: Span(begun[tp], reached[tp]) for tp in spans}))
            draft, begun = _Round(self._count), dict(reached)

        for write in _in_time(writes):
            tp, offset = write.mark
            i, n = index[tp], 0
            if isinstance(write, Follow | Unfollow):
                n, timeline = self._bucket(write.follower), timelines[write.followee]
                cost = 50.0 + len(timeline.posts)
            elif isinstance(write, Withdraw):
                cost = 1 + 4 * followers[write.author] / self._count
            else:
                total = followers[write.author]
                cost = 1.0 if total >= self._pull_threshold else 1 + total / self._count
            load = draft.cost + draft.costs[n]
            if load and load + cost > CALL_COST:
                # Every offset before this one is complete in every bucket; a round never splits an offset.
                cut(position)
            if isinstance(write, Follow | Unfollow):
                words = (i, offset, str(write.follower), str(write.followee), timeline.floor)
                draft.follows[n].append(packed(("R", *words, *timeline.posts)))
                draft.costs[n] += cost
                source, limits = str(TopicPartition(self._posts, tp.partition)), draft.limits[n]
                limits[source] = min(timeline.fence, limits.get(source, timeline.fence))
            elif isinstance(write, Withdraw):
                draft.withdrawn.append(packed(("W", i, offset, str(write.author), str(write.post))))
                draft.cost += cost
            elif write.mark not in skipped:
                draft.posts += (i, offset, str(write.author), str(write.post), self._level(total))
                draft.cost += cost
            position[tp] = offset
        cut({tp: span.last for tp, span in spans.items()})
        return rounds

    def _level(self, followers: int) -> int:
        """1: the author's posts are pulled from here on; 0: pushed; -1: as before."""
        if followers >= self._pull_threshold:
            return 1
        return 0 if followers < CALM * self._pull_threshold else -1

    def _bucket(self, user_id: int) -> int:
        return bucket_of(user_id, self._count)


def _in_time(writes: Sequence[FeedWrite]) -> list[FeedWrite]:
    """Posts before follows; and posts by age, as far as the order of each partition allows it: lists are trimmed by
    position where their posts came in order, which costs far less than to sort them."""
    newest: dict[TopicPartition, int] = {}
    keyed: list[tuple[int, int, FeedWrite]] = []
    for n, write in enumerate(writes):
        key = MAX_ID
        if isinstance(write, FanOut | Withdraw):
            key = newest[write.mark.tp] = max(write.post, newest.get(write.mark.tp, 0))
        keyed.append((key, n, write))
    keyed.sort()
    return [write for _, _, write in keyed]


def _partition(field: str) -> TopicPartition:
    topic, _, partition = field.rpartition("-")
    return TopicPartition(topic, int(partition))


def _remade(tp: TopicPartition) -> LogRemade:
    return LogRemade(
        f"the home feed was built from another incarnation of topic {tp.topic} (partition {tp.partition}): "
        "the topic was deleted and made again. Restore the log, or drop the view and let it be rebuilt."
    )
