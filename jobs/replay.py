"""``shutterlog replay VIEW``: a view built anew beside the live one, compared with it, and put into its place.

Each step can be cut off at any moment, by ``kill -9`` too, and the same command goes on: what is built stands in the
stores with its fences (and, for feeds in bulk, in a checkpoint), and which generation is being built in the topic
``generations``. The log and the DLQ are never written, and nothing is emitted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import uvloop
from rich.progress import Progress

from jobs.replay_comparison import comparison_of
from jobs.replay_engine import Applying, Following, Pace, reached, seldom_collecting
from jobs.replay_flip import Flip
from jobs.replay_halves import other_half, others_share
from jobs.replay_plan import chosen_to_roll_back
from jobs.replay_progress import Said, progress_bar
from jobs.replay_report import ReplayReport, Wishes
from jobs.replay_views import VIEWS, ReplayStores, drop_generation, view_named
from jobs.verify_differences import Differences
from sinks.errors import LogRemade
from sinks.generations import Generation, GenerationLog, Generations, now_ms
from sinks.home_feed_bulk import BulkHomeFeedSink
from sinks.replay_poison import PoisonBook
from sinks.settings import Settings
from sinks.sink import Sink
from sinks.view_leases import ViewLease
from streams.facts import FACTS
from streams.records import TopicPartition
from streams.views import View

BUILD_EVENTS = 5_000
"""Records of a batch while a generation is built that nobody reads; at least as many as the view's agents take."""
CHECKPOINT_SECONDS = 5.0
ROUNDS = 5
"""Looks at what differed."""
LEVEL_SECONDS = 15.0
"""How long both generations may take to come to the same offsets before they are compared as they are."""
_LOOK_SECONDS = 0.25


def replay(settings: Settings, name: str, wishes: Wishes, *, quiet: bool = False) -> ReplayReport:
    """Build, catch up, compare, flip.

    Raises ``UnknownView``, ``LeaseHeld``, ``LeaseLost``, ``LogRemade``, ``StoreAway`` and ``TopicMissing``.
    """
    view = view_named(name)

    async def run() -> ReplayReport:
        with progress_bar(quiet) as progress:
            async with at_work(settings, view, f"shutterlog replay {name}") as (stores, lease):
                return await Replay(stores, view, lease, progress).run(wishes)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # a fifth faster than asyncio's own
        return runner.run(run())


def rollback(settings: Settings, name: str, *, quiet: bool = False) -> ReplayReport:
    """Bring the newest generation that was live before up to date, and flip to it.

    Raises as ``replay``, and LookupError where none is kept.
    """
    view = view_named(name)

    async def run() -> ReplayReport:
        with progress_bar(quiet) as progress:
            async with at_work(settings, view, f"shutterlog rollback {name}") as (stores, lease):
                return await Replay(stores, view, lease, progress).roll_back()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # a fifth faster than asyncio's own
        return runner.run(run())


@asynccontextmanager
async def at_work(settings: Settings, view: View[Any], what: str) -> AsyncIterator[tuple[ReplayStores, ViewLease]]:
    """The stores, and the lease of ``view``."""
    async with ReplayStores(settings) as stores:
        generations = await asyncio.to_thread(GenerationLog(settings).of, view.name)
        await stores.ready(view)
        await stores.make_tables(view, generations.live)
        async with ViewLease(stores.cassandra, view.name, what) as lease:
            yield stores, lease


class Replay:
    """One replay or rollback of ``view``, whose ``lease`` is held."""

    def __init__(self, stores: ReplayStores, view: View[Any], lease: ViewLease, progress: Progress) -> None:
        self._stores, self._view, self._lease = stores, view, lease
        self._settings = stores.settings
        self._log = GenerationLog(self._settings)
        self._said = Said(progress)
        self._partitions = [
            TopicPartition(topic, n) for topic in view.sources for n in range(self._settings.partitions)
        ]
        self._report: ReplayReport
        self._book: PoisonBook
        self._pace = Pace(0)

    async def run(self, wishes: Wishes) -> ReplayReport:
        """See ``replay``."""
        generations = await self._begun(wishes.fresh)
        building = generations.building()
        assert building is not None  # noqa: S101 (begun, or found)
        report, number = self._report, building.number
        self._pace = Pace(wishes.rate)
        await self._stores.make_tables(self._view, number)
        try:
            await self._build(number)
            async with self._followed(number) as following:
                await self._caught_up(following)
                with self._step("compare"):
                    report.compared = await self._compared(following)
                if report.differences and not wishes.accept_differences:
                    report.met = await self._book.met()
                    self._said.line(f"{report.differences:,} differences: generation {number} is not made live")
                    return report
                await self._flip(following, anew=True)
        except LogRemade as error:
            raise LogRemade(
                f"{error}. Where the log is right, drop what was built from another one and begin again: "
                f"shutterlog replay {self._view.name} --fresh"
            ) from error
        await asyncio.to_thread(self._stores.forget_checkpoint, self._view, number)
        return report

    async def roll_back(self) -> ReplayReport:
        """See ``rollback``."""
        generations = await asyncio.to_thread(self._log.of, self._view.name)
        kept = chosen_to_roll_back(generations)
        self._begin(generations, kept, resumed=False)
        async with self._followed(kept.number) as following:
            await self._caught_up(following)
            await self._flip(following, anew=False)
        return self._report

    # -- steps --------------------------------------------------------------------------------------------------------

    async def _begun(self, fresh: bool) -> Generations:
        generations = await asyncio.to_thread(self._log.of, self._view.name)
        building = generations.building()
        if building is not None and fresh:
            self._said.line(f"dropping generation {building.number}, which was being built")
            generations = generations.dropped(building.number)
            await asyncio.to_thread(self._log.write, generations)
            await drop_generation(self._stores, self._view, building.number)
            building = None
        resumed = building is not None
        if building is None:
            generations = generations.begun(now_ms())
            await asyncio.to_thread(self._log.write, generations)
            building = generations.building()
        assert building is not None  # noqa: S101 (just begun)
        self._begin(generations, building, resumed)
        return generations

    def _begin(self, generations: Generations, chosen: Generation, resumed: bool) -> None:
        self._report = ReplayReport(self._view.name, generations.live, chosen.number, resumed)
        self._book = PoisonBook(self._stores.cassandra, self._view.name, chosen.number)

    async def _build(self, number: int) -> None:
        """Everything up to the log's end as it is now, as fast as the stores take it."""
        live, bulk = self._stores.live_sink(self._view, number), self._stores.bulk_sink(self._view, number)
        if bulk is not None and max((await live.fences(self._partitions)).values()) >= 0:
            return  # loaded already, by a run that was cut off later: the live sink goes on
        every = await asyncio.to_thread(self._stores.topics.ends)
        ends = {tp: every[tp] for tp in self._partitions}
        sink: Sink[Any] = bulk or self._stores.building_sink(self._view, number)
        at = await sink.fences(self._partitions)
        lefts = {tp: max(end - at[tp], 0) for tp, end in ends.items()}
        left = sum(lefts.values())
        verb = "goes on" if self._report.resumed else "begins"
        self._said.line(f"building generation {number} {verb}: {left:,} events")
        with self._step("build"):
            others = {tp: ends[tp] for tp in others_share(lefts, self._pace.rate)} if bulk is not None else {}
            mine = [tp for tp in self._partitions if tp not in others]
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(seldom_collecting())
                half: asyncio.Task[None] | None = None
                if bulk is not None and others:
                    half = await stack.enter_async_context(
                        other_half(self._settings, bulk, self._book, others, self._heard)
                    )
                applying = await stack.enter_async_context(
                    self._applying(sink, max(BUILD_EVENTS, self._at_once()), mine)
                )
                await self._read(applying, ends, left, bulk, half)
        if bulk is not None:
            with self._step("load"):
                self._said.line(f"loading generation {number}")
                task = self._said.task("loading")
                await bulk.load(lambda done, of: self._said.done(task, done, of))

    async def _read(
        self,
        applying: Applying,
        ends: dict[TopicPartition, int],
        left: int,
        bulk: BulkHomeFeedSink | None,
        half: asyncio.Task[None] | None,
    ) -> None:
        task = self._said.task("building")
        checkpoint = time.monotonic() + CHECKPOINT_SECONDS
        while not applying.has_built(ends) or (half is not None and not half.done()):
            if applying.has_built(ends) and half is not None:
                await asyncio.wait([half], timeout=_LOOK_SECONDS)
            else:
                await applying.step()
            if half is not None and half.done():
                half.result()
            self._lease.check()
            self._said.done(task, min(applying.events + self._report.events, left), left)
            if bulk is not None and time.monotonic() > checkpoint:
                await bulk.checkpoint()
                checkpoint = time.monotonic() + CHECKPOINT_SECONDS
        self._said.done(task, left, left)
        self._report.events += applying.events

    def _heard(self, events: int) -> None:
        self._report.events += events

    async def _caught_up(self, following: Following) -> None:
        """Until less than one batch of the live agents is left."""
        with self._step("catch_up"):
            task, most = self._said.task("catching up"), 0
            self._said.line("catching up")
            while (left := await following.lag()) >= self._settings.batch_events:
                most = max(most, left)
                self._said.done(task, most - left, most)
                await self._pause(following)
            self._said.done(task, most, most)

    async def _compared(self, following: Following) -> Differences:
        report = self._report
        other = await asyncio.to_thread(self._log.read)
        live = {name: other[name].live if name in other else 1 for name in VIEWS}
        comparison = comparison_of(self._stores, self._view, report.was, report.generation, live)
        self._said.line(f"comparing generation {report.generation} with the live one, {report.was}")
        task = self._said.task("comparing")
        await self._level(following)
        found = await comparison.whole(lambda count: self._said.more(task, count))
        for _ in range(ROUNDS):
            if not found.found:
                break
            self._said.line(f"looking again at {len(found.found):,} differences")
            await self._level(following)
            self._lease.check()
            later = await comparison.again(list(found.found))
            still = {subject: why for subject, why in later.found.items() if subject in found.found}
            settled = len(still) == len(found.found)
            found = Differences(found.checked, still, found.beyond, found.notes)
            if settled:
                break
        self._said.done(task, found.checked, found.checked)
        return found

    async def _level(self, following: Following) -> None:
        """Wait until both generations have passed the log's end as it is now."""
        following.check()
        every = await asyncio.to_thread(self._stores.topics.ends)
        ends = {tp: every[tp] for tp in self._partitions}
        await following.reach(ends, LEVEL_SECONDS)
        live = self._stores.live_sink(self._view, self._report.was)
        self._report.live_behind = await reached(live, self._partitions, ends, LEVEL_SECONDS)

    async def _flip(self, following: Following, *, anew: bool) -> None:
        self._lease.check()
        flip = Flip(self._settings, self._report, self._book, self._said, self._lease)
        await flip.run(following, self._partitions, anew=anew)

    def _at_once(self) -> int:
        """Records of a batch of the view's agents."""
        return self._settings.facts_batch_events if self._view is FACTS else self._settings.batch_events

    # -- what steps stand on ------------------------------------------------------------------------------------------

    def _applying(self, sink: Sink[Any], most: int, partitions: list[TopicPartition]) -> Applying:
        return Applying(self._settings, self._view, sink, self._book, most=most, pace=self._pace, partitions=partitions)

    @asynccontextmanager
    async def _followed(self, number: int) -> AsyncIterator[Following]:
        """``number`` kept up with the log by the live sink."""
        sink, most = self._stores.live_sink(self._view, number), self._at_once()
        async with self._applying(sink, most, self._partitions) as applying:
            async with Following(applying) as following:
                yield following
            self._report.events += applying.events

    async def _pause(self, following: Following) -> None:
        following.check()
        self._lease.check()
        await asyncio.sleep(_LOOK_SECONDS)

    def _step(self, name: str) -> Any:
        return self._said.timed(self._report.seconds, name)
