"""Random histories of the home feed, what they come to, and who applies them."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from schemas.ids import MIN_ID
from sinks.errors import FenceBehind
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import Buckets, RedisBuckets
from sinks.home_feed_bulk import BulkHomeFeedSink
from sinks.home_feed_reader import HomeFeedReader, Skeleton
from sinks.redis import Redis
from sinks.sink import Sink
from streams.home_feed import FanOut, FeedWrite, Follow, Unfollow, Withdraw
from streams.records import Span, TopicPartition
from streams.views import Mark

TOPIC_IDS = {"posts": "P", "graph": "G"}
CAP, SLACK, COUNT, PULL = 4, 2, 3, 4
PEOPLE = [MIN_ID + n for n in range(8)]
LOGS = [TopicPartition(topic, n) for topic in TOPIC_IDS for n in range(2)]
Reached = dict[TopicPartition, int]


@dataclass
class History:
    """A random log, its writes in each partition's order, and what it comes to."""

    log: dict[TopicPartition, list[FeedWrite]] = field(default_factory=lambda: {tp: [] for tp in LOGS})
    following: set[tuple[int, int]] = field(default_factory=set)
    published: dict[int, int] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, chance: random.Random, length: int = 150) -> History:
        made = cls()
        for _ in range(length):
            one, other = chance.sample(range(len(PEOPLE)), 2)
            if chance.random() < 0.6:
                author, post = PEOPLE[other], MIN_ID + 1000 + chance.randrange(8) * len(PEOPLE) + other
                tp = TopicPartition("posts", other % 2)
                mark = Mark(tp, len(made.log[tp]))
                if chance.random() < 0.25:
                    made.log[tp].append(Withdraw(mark, author, post))
                    made.deleted.add(post)
                else:
                    made.log[tp].append(FanOut(mark, author, post))
                    made.published[post] = author
            else:
                pair = PEOPLE[one], PEOPLE[other]
                tp = TopicPartition("graph", other % 2)
                mark = Mark(tp, len(made.log[tp]))
                if chance.random() < 0.35:
                    made.log[tp].append(Unfollow(mark, *pair))
                    made.following.discard(pair)
                else:
                    made.log[tp].append(Follow(mark, *pair))
                    made.following.add(pair)
        return made

    def true(self, person: int) -> list[int]:
        """The whole feed of ``person``, newest first."""
        mine = {post for post, author in self.published.items() if (person, author) in self.following}
        return sorted(mine - self.deleted, reverse=True)

    def check(self, person: int, feed: Skeleton, *, exact: bool = False) -> None:
        """``exact``: nothing but the feed, and no floor above the first post that it leaves out for its length."""
        true = self.true(person)
        above = [post for post in true if post > feed.floor]
        if exact:
            assert feed.ids == above
            assert feed.floor == 0 or feed.floor in true[CAP:]
        else:
            assert [post for post in feed.ids if post in set(true)] == above


async def deliver(sink: Sink[FeedWrite], history: History, chance: random.Random, to: Reached | None = None) -> Reached:
    """Apply ``history`` from the sink's fences up to ``to`` (its end), in random batches, some of them again: with what
    comes next, or as a zombie does that has fallen behind."""
    to = to or {tp: len(writes) - 1 for tp, writes in history.log.items()}
    reached = await sink.fences(LOGS)
    while behind := [tp for tp in LOGS if reached[tp] < to[tp]]:
        spans, batch = {}, []
        for tp in chance.sample(behind, chance.randint(1, len(behind))):
            prior = max(-1, reached[tp] - chance.choice([0, 0, 0, 5]))
            last = min(to[tp], reached[tp] + chance.randint(1, 12))
            spans[tp] = Span(prior, last)
            batch += history.log[tp][prior + 1 : last + 1]
        try:
            await sink.apply(batch, spans)
        except FenceBehind as error:
            reached.update(error.positions)
        else:
            reached.update({tp: span.last for tp, span in spans.items()})
            tp = chance.choice(LOGS)
            prior = chance.randint(-1, reached[tp])
            last = chance.randint(prior, reached[tp])
            with suppress(FenceBehind):
                await sink.apply(history.log[tp][prior + 1 : last + 1], {tp: Span(prior, last)})
    return reached


def some_of(history: History, chance: random.Random) -> Reached:
    return {tp: chance.randint(-1, len(writes) - 1) for tp, writes in history.log.items()}


def live_sink(buckets: Buckets) -> HomeFeedSink:
    return HomeFeedSink(buckets, TOPIC_IDS, count=COUNT, pull_threshold=PULL)


@dataclass
class Generation:
    """One generation in Redis, with its sinks and reader."""

    redis: Redis
    number: int = 1

    def __post_init__(self) -> None:
        self.reader = HomeFeedReader(self.redis, generation=self.number, buckets=COUNT)
        self.live = live_sink(
            RedisBuckets(self.redis, TOPIC_IDS, generation=self.number, buckets=COUNT, cap=CAP, slack=SLACK)
        )

    def bulk(self, checkpoint: Path | None = None, *, cap: int = CAP, posts_id: str = "P") -> BulkHomeFeedSink:
        """Another bulk sink, as after a kill."""
        return BulkHomeFeedSink(
            self.redis,
            {**TOPIC_IDS, "posts": posts_id},
            generation=self.number,
            buckets=COUNT,
            cap=cap,
            slack=SLACK,
            pull_threshold=PULL,
            checkpoint=checkpoint,
        )

    async def check(self, history: History, *, exact: bool = False) -> None:
        for person, feed in (await self.reader.skeletons(PEOPLE)).items():
            history.check(person, feed, exact=exact)


def quiet(done: int, of: int) -> None:
    assert 0 <= done <= of


class Killed(BaseException):
    """The process ends here."""
