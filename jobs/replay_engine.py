"""From the log into one generation: batches read ahead, projected, and applied to its sink."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from jobs.replay_log import Offsets, ReplayLog, Taken
from sinks.errors import FenceBehind, StoreAway
from sinks.replay_poison import Poison, PoisonBook
from sinks.settings import Settings
from sinks.sink import Sink
from streams.records import Record, TopicPartition
from streams.views import View

logger = logging.getLogger(__name__)

AWAY_SECONDS = 60.0
"""How long a store may be away before replay gives up: it can be run again, and goes on."""
_WAIT_SECONDS = 0.1
_LOOK_SECONDS = 0.1
_LONGEST_PAUSE = 2.0


class Pace:
    """Holds back what is faster than ``rate`` events/s; 0 for as fast as possible."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._began = time.monotonic()
        self._events = 0

    def bounded(self, most: int) -> int:
        """A batch of at most a quarter of a second's worth."""
        return max(min(most, int(self.rate / 4)), 1) if self.rate else most

    async def after(self, events: int) -> None:
        """Wait until ``events`` more are in their time."""
        if self.rate:
            self._events += events
            await asyncio.sleep(max(self._began + self._events / self.rate - time.monotonic(), 0))


@asynccontextmanager
async def seldom_collecting() -> AsyncIterator[None]:
    """Python's collector looks for cycles after so many new objects; events and writes are millions, and make none.
    With its own thresholds a build took 1.4 times the CPU time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Applying:
    """Applies the log to ``sink``, from its own fences on, in batches of ``most`` records. An async context."""

    def __init__(
        self,
        settings: Settings,
        view: View[Any],
        sink: Sink[Any],
        book: PoisonBook,
        *,
        most: int,
        pace: Pace,
        partitions: Collection[TopicPartition],
    ) -> None:
        self._view, self._sink, self._book = view, sink, book
        self._most, self._pace = pace.bounded(most), pace
        self.partitions = partitions
        self.log = ReplayLog(settings, view.sources)
        self.applied: dict[TopicPartition, int] = {}
        """The last offset that is in the sink, of each partition."""
        self.begun: dict[TopicPartition, int] = {}
        """The same, as this began."""
        self.events = 0
        self._ahead: asyncio.Task[Taken] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._place()
        except BaseException:
            self.log.close()
            raise
        self.begun = dict(self.applied)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
            if not self._ahead.cancelled():
                self._ahead.exception()
        await asyncio.to_thread(self.log.close)

    async def ends(self) -> dict[TopicPartition, int]:
        """The log's ends as they are now."""
        return await asyncio.to_thread(self.log.ends)

    async def step(self) -> int:
        """Apply one batch, while the next one is fetched; how many records it had.

        Raises ``StoreAway`` where a store stays away for ``AWAY_SECONDS``, and ``LogRemade``.
        """
        taken = await (self._ahead or self._take())
        self._ahead = asyncio.create_task(self._take())
        writes, refused = projected(self._view, taken.records)
        if taken.poison or refused:
            await self._book.put([*taken.poison, *refused])
        if taken.spans and await self._apply(writes, taken):
            self.applied.update({tp: span.last for tp, span in taken.spans.items()})
            self.events += taken.events
            await self._pace.after(taken.events)
        return taken.events

    def has_reached(self, ends: Offsets) -> bool:
        """Whether everything up to ``ends`` is in the sink."""
        return all(at >= ends.get(tp, -1) for tp, at in self.applied.items())

    def has_built(self, ends: Offsets) -> bool:
        """The same, for ends asked before this began: what an open transaction holds back is not waited for."""
        at_end, position = self.log.at_end, self.log.position
        return all(at >= ends.get(tp, -1) or (tp in at_end and at == position[tp]) for tp, at in self.applied.items())

    async def _take(self) -> Taken:
        return await asyncio.to_thread(self.log.take, self._most, _WAIT_SECONDS)

    async def _place(self) -> None:
        self.applied = await self._sink.fences(self.partitions)
        await asyncio.to_thread(self.log.place, self.applied)

    async def _apply(self, writes: Sequence[Any], taken: Taken) -> bool:
        """Whether it is applied; not, where a fence went back: then it was placed anew."""
        began, tries = time.monotonic(), 0
        while True:
            try:
                await self._sink.apply(writes, taken.spans)
            except StoreAway as away:
                if time.monotonic() > began + AWAY_SECONDS:
                    raise
                if not tries:
                    logger.warning("%s: waiting for a store: %s", self._view.name, away)
                tries += 1
                await asyncio.sleep(min(_LONGEST_PAUSE, 0.05 * 2**tries))
            except FenceBehind as behind:
                logger.warning("%s: a fence went back; going on from %s", self._view.name, behind)
                if self._ahead is not None:
                    await asyncio.wait([self._ahead])
                    self._ahead = None
                await self._place()
                return False
            else:
                return True


class Following:
    """Keeps a generation up with the log in the background. An async context; what ends it is raised by ``check``."""

    def __init__(self, applying: Applying) -> None:
        self._applying = applying
        self._stopping = False
        self._running: asyncio.Task[None] | None = None

    @property
    def applied(self) -> dict[TopicPartition, int]:
        """The last offset that is in the sink, of each partition."""
        return dict(self._applying.applied)

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        if self._running is not None:
            await asyncio.wait([self._running])
            if kind is None:
                self.check()

    def check(self) -> None:
        """Raise what ended it."""
        if self._running is not None and self._running.done():
            self._running.result()

    async def lag(self) -> int:
        """Records between what is applied and the log's end, transaction markers among them."""
        ends = await self._applying.ends()
        if self._applying.has_reached(ends):
            return 0
        return sum(max(end - self._applying.applied[tp], 0) for tp, end in ends.items())

    async def reach(self, ends: Offsets, seconds: float) -> bool:
        """Wait until all up to ``ends`` is applied; False after ``seconds``."""
        deadline = time.monotonic() + seconds
        while not self._applying.has_reached(ends):
            self.check()
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _run(self) -> None:
        while not self._stopping:
            await self._applying.step()


def projected(view: View[Any], records: Sequence[Record]) -> tuple[list[Any], list[Poison]]:
    """The writes of all records that ``view`` takes, and those that it refuses, as agents judge them."""
    try:
        return view.project(records), []
    except Exception:  # whatever a projection raises, one record is to blame: find it
        writes: list[Any] = []
        refused: list[Poison] = []
        for record in records:
            try:
                writes += view.project([record])
            except Exception as refusal:
                refused.append(Poison(record.tp, record.offset, True, str(refusal)))
        return writes, refused


async def reached(sink: Sink[Any], partitions: Collection[TopicPartition], ends: Offsets, seconds: float) -> int:
    """Wait until the fences of ``sink`` have passed ``ends``; how many records are left after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        fences = await sink.fences(partitions)
        left = sum(max(ends[tp] - at, 0) for tp, at in fences.items())
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(_LOOK_SECONDS)


Heard = Callable[[int, int], None]
"""(done, of), for a progress bar."""
