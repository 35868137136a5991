"""Deterministic simulation of source, ``deliver`` and fences over in-memory buckets.

One seed decides everything: what is in the log, which task runs next, and which fault strikes where. Every await of
the code under test is a point at which another worker may run, or this one may be killed. The code under test is the
agents' own (``Positions``, ``Delivery``, ``HomeFeedSink``); the buckets are held equal to the Lua scripts by the
contract test. A failing seed is printed, and replays with ``pytest tests/agents -k simulation --seed N``.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from types import coroutine
from typing import Any

from agents.delivery import Delivery
from agents.positions import Positions, RawBatch, RawRecord
from schemas.codec import encode
from schemas.events import Event, Followed, PostDeleted, PostPublished, Source, Unfollowed
from schemas.ids import MIN_ID
from sinks.errors import StoreAway
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import SLEEP, Call, Reply, Timeline, packed
from sinks.home_feed_sleep import Sleepers
from streams.buckets import bucket_of
from streams.home_feed import HOME_FEED
from streams.records import Spans, TopicPartition
from tests.sinks.memory_buckets import Bucket, MemoryBuckets

TOPIC_IDS = {"posts": "P", "graph": "G"}
PARTITIONS, BUCKETS, CAP, SLACK, PULL, PEOPLE, WORKERS = 2, 3, 3, 1, 3, 6, 2


def place(key: bytes, partitions: int) -> int:
    """In which partition a key is."""
    return key[-1] % partitions


class Killed(BaseException):
    """The worker is gone at this very await."""


@coroutine
def point() -> Generator[None, None, None]:
    """Where another task may run."""
    yield


@dataclass
class Faults:
    """Chances of each fault, per step; ``calm`` ends them all."""

    crash: float = 0.02
    store_away: float = 0.02
    rollback: float = 0.006
    rebalance: float = 0.01
    zombie: float = 0.01
    sleep: float = 0.01
    wake: float = 0.01

    @classmethod
    def calm(cls) -> Faults:
        return cls(0, 0, 0, 0, 0, 0, 0)


class FaultyBuckets:
    """The shared store as one worker reaches it: it may fail halfway through a round of calls."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def call(self, calls: Sequence[Call]) -> list[Reply]:
        order = list(range(len(calls)))
        self._world.chance.shuffle(order)
        replies: dict[int, Reply] = {}
        for n in order:
            await self._reach()
            replies[n] = self._world.store.run(calls[n])
        await self._reach()
        return [replies[n] for n in range(len(calls))]

    async def timelines(self, wanted: Sequence[tuple[int, int, str]]) -> list[Timeline]:
        await self._reach()
        return await self._world.store.timelines(wanted)

    async def fences(self) -> list[dict[str, tuple[int, str]]]:
        await self._reach()
        return await self._world.store.fences()

    async def _reach(self) -> None:
        await point()
        if self._world.strikes(self._world.faults.store_away):
            raise StoreAway("simulated")


@dataclass
class Worker:
    """One worker process: the agents' own source state, delivery and sink."""

    world: World
    positions: Positions = field(default_factory=Positions)
    wanted: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    is_zombie: bool = False
    fetched: int = -1
    settled: int = -1
    """Step at which the last idle call began that found all its fences at the log's end."""

    def __post_init__(self) -> None:
        self.sink = HomeFeedSink(FaultyBuckets(self.world), TOPIC_IDS, count=BUCKETS, pull_threshold=PULL)
        self.delivery = Delivery(HOME_FEED, self.sink, self, self, self, self.world.pause)
        self.task = self.run()

    @property
    def epoch(self) -> int:
        return self.positions.epoch

    def rewind(self, fences: Mapping[TopicPartition, int]) -> None:
        self.positions.rewind(fences)

    def applied(self, spans: Spans) -> None:
        if all(span.prior == span.last == self.world.end(tp) for tp, span in spans.items()):
            self.settled = self.fetched

    def is_at_rest(self, since: int) -> bool:
        """Whether it holds what it should and has, since then, found all of it applied."""
        return self.held == self.wanted and (self.settled > since or not self.wanted)

    async def put(self, record: RawRecord, error: str, stack: str, view: str | None) -> None:
        raise AssertionError(f"nothing in this log is poison: {error}")

    def delivered(self, records: int) -> None:
        self.world.delivered += records

    def happened(self, what: str) -> None:
        self.world.happenings[what] = self.world.happenings.get(what, 0) + 1

    async def run(self) -> None:
        while True:
            await point()
            if self.held != self.wanted and not self.is_zombie:
                await self.take_over(self.wanted)
                continue
            batch = self.fetch()
            if batch is not None and batch.spans:
                await self.delivery.deliver(batch)

    async def take_over(self, wanted: frozenset[int]) -> None:
        self.held, self.settled = frozenset(), -1
        self.positions.assign({})
        partitions = [TopicPartition(topic, p) for topic in TOPIC_IDS for p in sorted(wanted)]
        try:
            fences = await self.sink.fences(partitions)
        except StoreAway:
            return
        if wanted == self.wanted:
            self.positions.assign(fences)
            self.held = wanted

    def fetch(self) -> RawBatch | None:
        chance = self.world.chance
        self.fetched = self.world.step
        records = []
        for tp, last in self.positions.last.items():
            some = self.world.log[tp][last + 1 : last + 1 + chance.choice([0, 1, 2, 5, 20])]
            records += some
        return self.positions.advance(records) if records else self.positions.idle()


class World:
    """The log, the store, the workers and the faults of one seed."""

    def __init__(self, seed: int, without: Collection[str] = ()) -> None:
        self.chance = random.Random(seed)
        self.faults = Faults()
        self.step = 0
        self.delivered = 0
        self.happenings: dict[str, int] = {}
        self.log: dict[TopicPartition, list[RawRecord]] = {
            TopicPartition(topic, p): [] for topic in TOPIC_IDS for p in range(PARTITIONS)
        }
        self.store = MemoryBuckets(TOPIC_IDS, count=BUCKETS, cap=CAP, slack=SLACK, without=frozenset(without))
        self.people = [MIN_ID + 7919 * n for n in range(PEOPLE)]
        self.posts: list[tuple[int, int]] = []
        self.following: set[tuple[int, int]] = set()
        self.published: dict[int, int] = {}
        self.deleted: set[int] = set()
        self.snapshots: list[list[Bucket]] = [[self.store.snapshot(n)] for n in range(BUCKETS)]
        self.workers = [Worker(self) for _ in range(WORKERS)]
        self.sleepers = Sleepers(FaultyBuckets(self), count=BUCKETS, cap=CAP, partitions=PARTITIONS, place=place)
        self.wakings: list[Coroutine[Any, Any, None]] = []
        """Gateways that wake somebody, each by itself, maybe two the same person."""
        self.rebalance()

    def strikes(self, chance: float) -> bool:
        return self.chance.random() < chance

    def end(self, tp: TopicPartition) -> int:
        return len(self.log[tp]) - 1

    def snapshot(self) -> None:
        """All buckets at one moment, as one Redis would save them."""
        for n, held in enumerate(self.snapshots):
            held.append(self.store.snapshot(n))

    def roll_back(self, n: int, moments: int) -> None:
        """Bucket ``n`` goes back in its own history; what it held after that moment never comes back."""
        del self.snapshots[n][max(1, len(self.snapshots[n]) - moments) :]
        self.store.restore(n, self.snapshots[n][-1])

    async def pause(self, tries: int) -> None:
        for _ in range(min(tries, 3)):
            await point()

    def append(self, event: Event) -> None:
        """Append to the log, and to the plain model of what readers have to see."""
        number = place(event.key, PARTITIONS)
        tp = TopicPartition(event.TOPIC, number)
        self.log[tp].append(RawRecord(tp, len(self.log[tp]), 0, event.key, encode(event)))
        match event:
            case Followed():
                self.following.add((event.follower_id, event.followee_id))
            case Unfollowed():
                self.following.discard((event.follower_id, event.followee_id))
            case PostPublished():
                self.published[event.post_id] = event.author_id
            case PostDeleted():
                self.deleted.add(event.post_id)

    def say(self) -> None:
        """One random event. Post ids mostly rise; some are late, some are published twice or after their deletion."""
        chance = self.chance
        one, other = chance.sample(self.people, 2)
        if chance.random() < 0.5:
            # Half of the follows are of one author, who crosses the pull threshold again and again.
            other = self.people[0] if chance.random() < 0.5 and one != self.people[0] else other
            kind = Followed if chance.random() < 0.65 else Unfollowed
            self.append(kind(event_id=MIN_ID, at=0, actor_id=one, follower_id=one, followee_id=other))
            return
        author = self.people[0] if chance.random() < 0.4 else one
        if self.posts and chance.random() < 0.25:
            author, post = chance.choice(self.posts[-8:])
            if chance.random() < 0.7:
                self.append(PostDeleted(event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post))
                return
        else:
            post = MIN_ID + 10_000 * (len(self.posts) + chance.choice([9, 9, 9, 9, 2])) + chance.randrange(1000)
            self.posts.append((author, post))
        source = Source(topic="media", partition=0, offset=0, n=0)
        self.append(
            PostPublished(
                event_id=MIN_ID, at=0, actor_id=author, author_id=author, post_id=post, media=[], source=source
            )
        )

    def rebalance(self) -> None:
        live = [worker for worker in self.workers if not worker.is_zombie]
        shares: list[set[int]] = [set() for _ in live]
        for p in range(PARTITIONS):
            self.chance.choice(shares).add(p)
        for worker, share in zip(live, shares, strict=True):
            worker.wanted = frozenset(share)

    def strike(self) -> None:
        """Perhaps a fault."""
        if self.strikes(0.05):
            self.snapshot()
        if self.strikes(self.faults.rollback):
            moments = self.chance.choice([0, 1, 2, 1000])
            for n in range(BUCKETS) if self.chance.random() < 0.6 else [self.chance.randrange(BUCKETS)]:
                self.roll_back(n, moments)
            self.count("rollback")
            # Many read just then: a timeline that was lost must not make a feed.
            for user in self.people:
                if self.store.skeleton(user).asleep and self.chance.random() < 0.5:
                    self.wakings.append(self.wake(user))
        if self.strikes(self.faults.crash):
            self.replace(self.chance.choice(self.workers))
            self.count("crash")
        if self.strikes(self.faults.rebalance):
            self.rebalance()
            self.count("rebalance")
        if self.strikes(self.faults.zombie):
            worker = self.chance.choice(self.workers)
            if not worker.is_zombie:
                worker.is_zombie = True
                self.workers.append(Worker(self))
                self.rebalance()
                self.count("zombie")

        if self.strikes(self.faults.sleep):
            self.put_to_sleep(self.chance.choice(self.people))
        if self.strikes(self.faults.wake):
            self.wakings.append(self.wake(self.chance.choice(self.people)))
        if self.wakings and self.strikes(self.faults.crash):
            close(self.wakings.pop())
            self.count("gateway crash")

    def put_to_sleep(self, user: int) -> None:
        reply = self.store.run(Call(bucket_of(user, BUCKETS), SLEEP, {}, (), [packed(("S", str(user), 0))]))
        if reply.counts == [1]:
            self.count("asleep")

    async def wake(self, user: int) -> None:
        try:
            self.count("woken" if await self.sleepers.wake(user) else "not woken")
        except StoreAway:
            self.count("waking stopped")

    def count(self, what: str) -> None:
        self.happenings[what] = self.happenings.get(what, 0) + 1

    def replace(self, worker: Worker) -> None:
        """Kill a worker where it stands; a supervisor starts another, unless it was a zombie."""
        close(worker.task)
        self.workers.remove(worker)
        if not worker.is_zombie:
            self.workers.append(Worker(self))
            self.rebalance()

    def run(self, events: int = 60, steps: int = 1500) -> list[str]:
        """Run to a quiet end; gives what readers would see wrongly, one sentence each."""
        said = 0
        while self.step < steps:
            self.step += 1
            if said < events and self.strikes(events / steps * 2):
                self.say()
                said += 1
            self.strike()
            self.go()
        self.faults = Faults.calm()
        for worker in [worker for worker in self.workers if worker.is_zombie]:
            for _ in range(self.chance.randrange(200)):
                self.step += 1
                worker.task.send(None)
            self.replace(worker)
        calm_from = self.step
        while not all(worker.is_at_rest(calm_from) for worker in self.workers):
            self.step += 1
            self.go()
            if self.step > calm_from + 40_000:
                return ["the workers never come to rest"]
        while self.wakings:
            self.go_on(self.wakings[0])
        wrong = self.differences()
        for user in self.people:
            self.wakings.append(self.wake(user))
            while self.wakings:
                self.go_on(self.wakings[0])
            if self.store.skeleton(user).asleep:
                wrong.append(f"{user} does not wake")
        return wrong + self.differences()

    def go_on(self, waking: Coroutine[Any, Any, None]) -> None:
        try:
            waking.send(None)
        except StopIteration:
            self.wakings.remove(waking)

    def go(self) -> None:
        if self.wakings and self.chance.random() < 0.3:
            self.go_on(self.chance.choice(self.wakings))
            return
        # A zombie is slow: it is run now and then only.
        worker = self.chance.choice(self.workers)
        if not worker.is_zombie or self.chance.random() < 0.3:
            worker.task.send(None)

    def differences(self) -> list[str]:
        wrong = []
        for user in self.people:
            feed = self.store.skeleton(user)
            followed = {followee for follower, followee in self.following if follower == user}
            true = {p for p, author in self.published.items() if author in followed and p not in self.deleted}
            expected = {post for post in true if post > feed.floor}
            shown = {p for p in feed.ids if self.published.get(p) in followed and p not in self.deleted}
            if shown != expected:
                wrong.append(
                    f"{user} above {feed.floor}: missing {sorted(expected - shown)}, ghosts {sorted(shown - expected)}"
                )
        return wrong


def close(task: Coroutine[Any, Any, None]) -> None:
    """Kill a task at its await: what stands behind the await never happens."""
    try:
        task.throw(Killed())
    except (Killed, StopIteration):
        return
    raise AssertionError("a killed worker went on")


def simulate(seed: int, without: Collection[str] = ()) -> tuple[list[str], World]:
    """The differences after the run of ``seed``, and its world."""
    world = World(seed, without)
    wrong = world.run()
    for worker in world.workers:
        close(worker.task)
    for waking in world.wakings:
        waking.close()
    return wrong, world
