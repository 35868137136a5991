"""Follows and posts in a real log, a plain model of what readers have to see of them, and the feeds in Redis."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence

from schemas.events import Event, Followed, PostDeleted, PostPublished, Source, Unfollowed
from schemas.ids import MIN_ID
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_reader import HomeFeedReader
from sinks.producer import Producer
from sinks.redis import Redis
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import TopicPartition
from tests.agents.workers import until

SOURCES = ("posts", "graph")
AT_ONCE = 50
AUTHORS = 12
"""Most posts are by the first few people, whom most follow."""


class FeedWorld:
    """``people`` who follow, post and delete at random; the seed decides."""

    def __init__(self, settings: Settings, producer: Producer, redis: Redis, seed: int = 1, people: int = 60) -> None:
        self._settings, self._producer, self.redis = settings, producer, redis
        self._chance = random.Random(seed)
        self.people = [MIN_ID + 7919 * n for n in range(people)]
        self._following: set[tuple[int, int]] = set()
        self._published: dict[int, int] = {}
        self._deleted: set[int] = set()
        self._numbers = itertools.count()
        self._topics = Topics(settings)
        self._ids: dict[str, str] = self._topics.ids()
        self.looks_at(1)

    def looks_at(self, generation: int) -> None:
        """From here on all that is asked of the feeds is asked of ``generation``."""
        self._generation = generation
        self.reader = HomeFeedReader(self.redis, generation=generation, buckets=self._settings.buckets)

    async def live(self, events: int) -> None:
        """Let so many things happen, in the log and in the model."""
        for begun in range(0, events, AT_ONCE):
            await self.say([self._one() for _ in range(min(AT_ONCE, events - begun))])

    async def say(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        """Put ``events`` into the log, and into the model."""
        for event in events:
            self._fold(event)
        return await self._producer.produce_many(events)

    def published(self, author: int, number: int) -> PostPublished:
        """A post of ``author``; ``number`` orders it among all."""
        post = MIN_ID + 10_000 * (number + 1)
        source = Source(topic="media", partition=0, offset=number, n=0)
        return PostPublished(
            event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post, media=[], source=source
        )

    def followed(self, follower: int, followee: int) -> Followed:
        """A follow."""
        return Followed(event_id=MIN_ID, at=0, actor_id=follower, follower_id=follower, followee_id=followee)

    async def ends(self) -> dict[TopicPartition, int]:
        """The log's ends."""
        ends = await asyncio.to_thread(self._topics.ends)
        return {tp: end for tp, end in ends.items() if tp.topic in SOURCES}

    async def fences(self) -> dict[TopicPartition, int]:
        """How far feeds have come, in the bucket that has come least far."""
        settings = self._settings
        buckets = RedisBuckets(
            self.redis,
            self._ids,
            generation=self._generation,
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
        )
        sink = HomeFeedSink(buckets, self._ids, count=settings.buckets, pull_threshold=settings.pull_threshold)
        return await sink.fences([TopicPartition(t, p) for t in SOURCES for p in range(settings.partitions)])

    async def applied(self) -> int:
        """Records that are in every bucket."""
        return sum(at + 1 for at in (await self.fences()).values())

    async def applies(self, records: int, seconds: float = 30.0) -> None:
        """Wait until ``records`` are applied."""

        async def reached() -> bool:
            return await self.applied() >= records

        await until(f"{records} records are applied", reached, seconds)

    async def settles(self, seconds: float = 30.0) -> None:
        """Wait until the feeds have come to the log's end."""
        ends = await self.ends()

        async def reached() -> bool:
            return await self.fences() == ends

        await until(f"the feeds come to {ends}", reached, seconds)

    async def differences(self) -> list[str]:
        """What readers would see wrongly, one sentence each.

        A floor may be above a feed's true last entry: what was followed while it was trimmed may have been unfollowed
        since, and who catches up meets posts and follows in another order than they came. Readers go on from Cassandra
        there, so a few such feeds are right; if many are short, floors rise that should not.
        """
        wrong, short = [], []
        for user, feed in (await self.reader.skeletons(self.people)).items():
            followed = {followee for follower, followee in self._following if follower == user}
            true = {p for p, author in self._published.items() if author in followed and p not in self._deleted}
            expected = {post for post in true if post > feed.floor}
            shown = {p for p in feed.ids if self._published.get(p) in followed and p not in self._deleted}
            if shown != expected:
                wrong.append(
                    f"{user} above {feed.floor}: missing {sorted(expected - shown)}, ghosts {sorted(shown - expected)}"
                )
            if feed.asleep:
                continue
            if len(set(feed.ids)) != len(feed.ids):
                wrong.append(f"{user}: {feed.ids} has ids twice")
            if len(expected) < min(len(true), self._settings.feed_cap) // 2:
                short.append(f"{user}: {len(feed.ids)} ids above floor {feed.floor}, of {len(true)} posts")
        return wrong + (short if len(short) > len(self.people) // 10 else [])

    def _one(self) -> Event:
        chance = self._chance
        kind = chance.random()
        if kind < 0.45:
            follower = chance.choice(self.people)
            followee = chance.choice([one for one in self.people[:AUTHORS] if one != follower])
            if kind < 0.33:
                return self.followed(follower, followee)
            return Unfollowed(event_id=MIN_ID, at=0, actor_id=follower, follower_id=follower, followee_id=followee)
        if kind < 0.52 and self._published:
            post, author = chance.choice(list(self._published.items())[-50:])
            return PostDeleted(event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post)
        return self.published(chance.choice(self.people[:AUTHORS]), next(self._numbers))

    def _fold(self, event: Event) -> None:
        match event:
            case Followed():
                self._following.add((event.follower_id, event.followee_id))
            case Unfollowed():
                self._following.discard((event.follower_id, event.followee_id))
            case PostPublished():
                self._published[event.post_id] = event.author_id
            case PostDeleted():
                self._deleted.add(event.post_id)
