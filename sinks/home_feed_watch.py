"""Whether a bucket of a view in Redis holds what it held: a Redis that lost data is noticed, and its feeds and counts
are not read until they have come back.

A bucket is *sound* once its fences have reached the log's end, and from then on until one of them is seen to go back.
Being late does not make it unsound: then it shows an earlier moment whole, and not a part of one. What is not known yet
(after a start, of a new generation) is not sound. All is compared here, by each gateway for itself, so that nothing has
to be written down in the very store that loses things.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from sinks.beside import beside
from sinks.errors import StoreAway
from sinks.home_feed_buckets import HOME_FEEDS, PUSH, STATE, TRAYS
from sinks.producer import TopicMissing
from sinks.redis import Circuit, Redis, exchange, unrefused
from streams.home_feed import HOME_FEED
from streams.records import TopicPartition
from streams.story_tray import STORY_TRAY

logger = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
HEALING_LOOK_SECONDS = 0.2
"""While something comes back; where nothing does, nobody is there to bring it."""
CAUGHT_UP_SECONDS = 1.0
"""A bucket is whole again once it reaches the log's end as it was so long ago at most."""
_REST_SECONDS = 60.0
"""A generation that nobody has read for so long, while another was, is not looked at any more."""

History = tuple[bytes | None, int]
"""When a bucket began, and how often its fences moved since."""
Ends = Callable[[], Awaitable[Mapping[TopicPartition, int]]]


class Healing(StoreAway):
    """The store answers, but what it lost is not back yet."""


class Watched(NamedTuple):
    """A view in Redis: what its keys begin with before the generation, its sources, and the passes of its fences."""

    name: str
    prefix: str
    sources: tuple[str, ...]
    passes: tuple[str, ...]


FEEDS = Watched(HOME_FEED.name, HOME_FEEDS.prefix, HOME_FEED.sources, (STATE, PUSH))
STORY_TRAYS = Watched(STORY_TRAY.name, TRAYS.prefix, STORY_TRAY.sources, (STATE, PUSH))


@dataclass
class _Bucket:
    stored: list[bytes] = field(default_factory=list)
    """The fences as they were read. Most looks find the very same."""
    fences: dict[bytes, int] = field(default_factory=dict)
    looked_at: History = (None, 0)
    """With which history the fences were read."""
    history: History = (None, 0)
    """The newest that was seen of it, by whomever."""
    sound: bool = False


class GenerationWatch:
    """What is known of the buckets of one generation."""

    def __init__(self, redis: Redis, circuit: Circuit, *, generation: int, buckets: int, view: Watched = FEEDS) -> None:
        self.circuit = circuit
        self.asked = time.monotonic()
        self.moves = False
        """Whether the last look found another state than the one before."""
        self._redis = redis
        self._view = view
        self._generation = generation
        self._buckets = [_Bucket() for _ in range(buckets)]
        self._ends: Mapping[TopicPartition, int] | None = None
        self._ends_at = 0.0

    @property
    def healing(self) -> list[int]:
        """The buckets that are not sound."""
        return [n for n, bucket in enumerate(self._buckets) if not bucket.sound]

    def expected(self, buckets: Iterable[int]) -> dict[int, History]:
        """The least history that each of ``buckets`` has to have, to be asked before it is read; raises ``Healing``
        where one is not sound."""
        self.asked = time.monotonic()
        found: dict[int, History] = {}
        for bucket in buckets:
            if not self._buckets[bucket].sound:
                raise Healing(f"bucket {bucket} of {self._view.name} is coming back")
            found[bucket] = self._buckets[bucket].history
        return found

    def confirm(self, expected: Mapping[int, History], read: Iterable[Sequence[bytes | None]]) -> None:
        """Raise ``Healing`` where a bucket went back before it was read. ``read`` are born and moves of each bucket's
        ``history``, as read in the same round trip as what is to be used, and after it."""
        for (bucket, (born, moves)), now in zip(expected.items(), map(_history, read), strict=True):
            known = self._buckets[bucket]
            # What had no history when it was looked at was empty, as the log was.
            if born is not None and (now[0] != born or now[1] < moves):
                known.sound = False
                raise Healing(f"bucket {bucket} of {self._view.name} has gone back")
            if known.history[0] in (None, now[0]) and now[1] > known.history[1]:
                known.history = now

    def rest(self) -> None:
        """Know nothing any more, until it is looked at again."""
        for bucket in self._buckets:
            bucket.sound = False

    async def look(self, ends: Ends) -> None:
        """Look at all fences. Raises ``StoreAway``."""
        async with self.circuit.probing():
            keys = [f"{self._view.prefix}{self._generation}:{{{n}}}:" for n in range(len(self._buckets))]
            read = [("HMGET", key + "history", "born", "moves") for key in keys]
            histories = list(map(_history, unrefused(await exchange(self._redis, read))))
            # Fences do not move without their history, and are a hundred times as much to read.
            moved = [n for n, history in enumerate(histories) if history != self._buckets[n].looked_at]
            asked = [("HGETALL", keys[n] + "fences") for n in moved]
            fences = unrefused(await exchange(self._redis, asked)) if asked else []
            self.moves = False
            for n, stored in zip(moved, fences, strict=True):
                self._compare(n, histories[n], stored)
        if self.healing:
            await self._heal(ends)

    def _compare(self, n: int, history: History, stored: list[bytes]) -> None:
        known = self._buckets[n]
        known.looked_at = known.history = history
        if stored == known.stored:
            return
        self.moves = True
        fences = {name: int(value.split()[0]) for name, value in zip(stored[0::2], stored[1::2], strict=True)}
        if known.sound and any(fences.get(name, -1) < offset for name, offset in known.fences.items()):
            what = (self._view.name, n, self._generation)
            logger.warning("%s: bucket %d of generation %d lost data, and is not read until it is back", *what)
            known.sound = False
        known.stored, known.fences = stored, fences

    async def _heal(self, ends: Ends) -> None:
        """Buckets that have come to the log's end are sound. The end is asked again where it was so long ago that
        what came since would be missed."""
        if self._ends is None:
            self._ends = {tp: end for tp, end in (await ends()).items() if tp.topic in self._view.sources}
            self._ends_at = time.monotonic()
        back = [n for n in self.healing if self._reached(self._buckets[n])]
        if time.monotonic() - self._ends_at > CAUGHT_UP_SECONDS:
            if back:
                self._ends = None
            return
        for n in back:
            self._buckets[n].sound = True
        if back:
            logger.info("%s: %d buckets of generation %d are whole", self._view.name, len(back), self._generation)
        if not self.healing:
            self._ends = None

    def _reached(self, bucket: _Bucket) -> bool:
        return all(
            bucket.fences.get(f"{which}:{tp}".encode(), -1) >= end
            for tp, end in (self._ends or {}).items()
            for which in self._view.passes
        )


class FeedWatch:
    """Watches the generations that are read."""

    def __init__(self, redis: Redis, circuit: Circuit, ends: Ends, *, buckets: int, view: Watched = FEEDS) -> None:
        """``ends`` gives the last offset of each partition of the log."""
        self._redis = redis
        self._circuit = circuit
        self._ends = ends
        self._view = view
        self._count = buckets
        self._watched: dict[int, GenerationWatch] = {}
        self._new = asyncio.Event()
        self._said = ""

    def of(self, generation: int) -> GenerationWatch:
        """The watch of one generation; one that is asked for the first time is looked at soon."""
        found = self._watched.get(generation)
        if found is None:
            found = self._watched[generation] = GenerationWatch(
                self._redis, self._circuit, generation=generation, buckets=self._count, view=self._view
            )
            self._new.set()
        return found

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look now, and inside the block again and again."""
        await self.look()
        async with beside(self._run()):
            yield

    async def look(self) -> None:
        """Look at every generation that was read lately. What is away is logged, and looked at again."""
        self._new.clear()
        latest = max((watched.asked for watched in self._watched.values()), default=0.0)
        for watched in list(self._watched.values()):
            if watched.asked < latest - _REST_SECONDS:
                watched.rest()
                continue
            try:
                await watched.look(self._ends)
            except (StoreAway, TopicMissing) as away:
                self._say(str(away))
            except Exception:  # whatever it is, nothing must be judged for ever by what was seen before it
                watched.rest()
                logger.exception("%s cannot be looked at", self._view.name)
            else:
                self._said = ""

    def _say(self, why: str) -> None:
        if why != self._said:
            logger.warning("%s cannot be looked at: %s", self._view.name, why)
        self._said = why

    async def _run(self) -> None:
        while True:
            healing = any(watched.healing and watched.moves for watched in self._watched.values())
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`: Python 3.11's loses a cancellation that comes at the moment of what it waits for.
                async with asyncio.timeout(HEALING_LOOK_SECONDS if healing else LOOK_SECONDS):
                    await self._new.wait()
            await self.look()


def _history(read: Sequence[bytes | None]) -> History:
    born, moves = read
    return born, int(moves or 0)
