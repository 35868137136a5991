"""``shutterlog verify``: every view against an independent fold of the log, at the same end offsets.

First the emitters must have said all that the log asks of them, then the views must have come to the log's end. What
then differs is looked at again, over a later end of the log, until what differs stays the same, and only that is
reported: beside a busy log every look finds feeds that are further than the fold. Of whatever the log spoke during the
last comparison nothing can be said: a note counts it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from jobs.emitters import EMITTERS
from jobs.verify_affinity import AffinityComparison
from jobs.verify_counters import CounterComparison
from jobs.verify_differences import Differences
from jobs.verify_erasure import leftovers
from jobs.verify_facts import FactFold
from jobs.verify_facts import compare as compare_facts
from jobs.verify_feeds import FeedComparison
from jobs.verify_fold import Fold
from jobs.verify_log import LogReader, Offsets, Take, committed, wait_for
from jobs.verify_moving import Touched, settled
from jobs.verify_owed import Accounting, entailments, notices, publications, renderings, trays
from jobs.verify_search import compare as compare_search
from jobs.verify_tables import TABLE_VIEWS
from jobs.verify_trending import TrendComparison
from schemas.events import TOPICS
from sinks.affinity import AffinityScan, AffinitySink
from sinks.cassandra import Cassandra
from sinks.clickhouse import ClickHouse
from sinks.counters import CounterSink
from sinks.counters_reader import CounterReader, CounterScan
from sinks.fact_migrations import migrate
from sinks.facts import FactSink
from sinks.generations import FIRST, GenerationLog
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import TRAYS, RedisBuckets
from sinks.home_feed_reader import HomeFeedReader
from sinks.object_store import ObjectStore
from sinks.person_keys import PersonKeys
from sinks.posts import PostReader
from sinks.redis import Redis, connect
from sinks.scans import HomeFeedScan
from sinks.search import SearchSink
from sinks.search_index import folder_of
from sinks.search_reader import SearchReader
from sinks.settings import Settings
from sinks.sink import Sink
from sinks.story_tray import tray_reader, tray_sink
from sinks.tables import TableSink
from sinks.topics import Topics
from sinks.trending import TrendSink
from sinks.trending_reader import TrendScan
from sinks.verifications import remember
from streams.records import TopicPartition

SOURCES: dict[str, tuple[str, ...]] = {
    "accounts": ("accounts",),
    "follows": ("graph",),
    "posts": ("posts", "media"),
    "user_posts": ("posts",),
    "notifications": ("notifications", "activity"),
    "likes": ("engagement",),
    "comments": ("engagement",),
    "saves": ("engagement",),
    "home_feed": ("posts", "graph"),
    "counters": ("engagement", "posts"),
    "stories": ("stories",),
    "story_views": ("stories",),
    "story_tray": ("stories", "graph"),
    "trending": ("engagement", "activity"),
    "affinity": ("engagement", "activity", "graph"),
    "tagged_posts": ("posts",),
    "search": ("accounts", "graph", "posts"),
    "seen_posts": ("activity",),
    "facts": TOPICS,
}
"""The topics of each view."""
OWED: dict[str, Callable[[Fold], Accounting]] = {
    "media": renderings,
    "publisher": publications,
    "notices": notices,
    "saga": entailments,
}
NAMES = (*SOURCES, *EMITTERS)

_LOOKS = 4
_SECOND_LOOK_SECONDS = 1.0
_SECOND_PATIENCE_SECONDS = 5.0
_ROUNDS = 20
"""Times to wait for the emitters: a log that still grows then is taken as it is, and the second look decides."""


class UnknownView(ValueError):
    """There is no view of this name."""


@dataclass
class Report:
    """What ``verify`` found, by view."""

    views: dict[str, Differences] = field(default_factory=dict)
    events: int = 0
    undecodable: int = 0

    @property
    def differences(self) -> int:
        """Over all views."""
        return sum(one.total for one in self.views.values())

    def to_json(self) -> dict[str, Any]:
        """What ``verify --json`` prints; programs read it, so it stays as it is."""
        return {
            "differences": self.differences,
            "views": {
                name: {"checked": one.checked, "differences": one.total, **one.notes}
                for name, one in self.views.items()
            },
            "events": self.events,
            "undecodable": self.undecodable,
        }

    def lines(self, most: int) -> Iterator[str]:
        """The report for people: ``most`` differences of each view at most."""
        for name, found in self.views.items():
            notes = "".join(f", {count:,} {note}" for note, count in found.notes.items())
            yield f"{name:<14} {found.checked:>10,} checked {found.total:>8,} differences{notes}"
            for sentence, _ in zip(found.found.values(), range(most), strict=False):
                yield f"    {sentence}"
            if found.total > most:
                yield f"    and {found.total - most:,} more"
        undecodable = f", {self.undecodable:,} records undecodable" if self.undecodable else ""
        yield f"{self.differences:,} differences over {self.events:,} events{undecodable}"


def verify(settings: Settings, names: Sequence[str] = (), *, patience: float = 60.0, quiet: bool = False) -> Report:
    """Compare the views ``names`` (all, without any) with the log.

    ``patience`` is how many seconds nothing may move before what is behind counts as different. Raises ``UnknownView``
    and ``StoreAway``.
    """
    for name in names:
        if name not in NAMES:
            raise UnknownView(f"there is no view {name!r}; there are {', '.join(NAMES)}")
    wanted = [name for name in NAMES if not names or name in names]
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )

    async def run() -> Report:
        async with _Verification(settings, patience, progress) as verification:
            return await verification.run(wanted)

    with progress:
        return asyncio.run(run())


class _Verification:
    def __init__(self, settings: Settings, patience: float, progress: Progress) -> None:
        self._settings, self._patience, self._progress = settings, patience, progress
        self._topics = Topics(settings)
        self._stack = AsyncExitStack()
        self._fold = Fold()
        self._facts = FactFold()
        self._cassandra: Cassandra
        self._clickhouse: ClickHouse
        self._redis: Redis
        self._reader: LogReader
        self._topic_ids: dict[str, str]
        self._live: dict[str, int] = {}

    async def __aenter__(self) -> _Verification:
        settings = self._settings
        self._topic_ids = await asyncio.to_thread(self._topics.ids)
        self._cassandra = await self._stack.enter_async_context(await Cassandra.connect(settings))
        self._redis = connect(settings.redis_url, seconds=30)
        self._stack.push_async_callback(self._redis.aclose)
        self._reader = LogReader(settings)
        self._stack.callback(self._reader.close)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def run(self, wanted: Collection[str]) -> Report:
        if "facts" in wanted:
            connecting = ClickHouse.connect(self._settings, make_database=True)
            self._clickhouse = await self._stack.enter_async_context(await connecting)
            self._reader.witness = self._facts.take
        report = Report(views=await self._look(wanted))
        for _ in range(_LOOKS - 1):
            again = {name: found.total for name, found in report.views.items() if found.total}
            if not again:
                break
            await asyncio.sleep(_SECOND_LOOK_SECONDS)
            self._patience = min(self._patience, _SECOND_PATIENCE_SECONDS)
            for name, later in (await self._look(again)).items():
                report.views[name] = report.views[name].still(later)
            if all(report.views[name].total == total for name, total in again.items()):
                break  # what stays is wrong; what is only on its way is another at each look
        if report.differences:
            touched = Touched()
            await self._read(await asyncio.to_thread(self._topics.ends), touched.take)
            report.views = {name: settled(found, touched) for name, found in report.views.items()}
        for name, found in report.views.items():
            await remember(self._cassandra, name, self._generation(name), found.checked, found.total)
        report.events, report.undecodable = self._fold.counts.total(), self._reader.undecodable
        return report

    async def _look(self, wanted: Collection[str]) -> dict[str, Differences]:
        ends, silent = await self._settled()
        await self._read(ends, self._fold.take)
        generations = await asyncio.to_thread(GenerationLog(self._settings).read)
        self._live = {view: one.live for view, one in generations.items()}
        found: dict[str, Differences] = {}
        for name in wanted:
            if name in EMITTERS:
                owed = self._owed(name) if name in OWED else await self._leftovers()
                found[name] = _late(owed, name, silent.get(name, {}))
                continue
            late = await self._reach(name, ends)
            found[name] = await self._compare(name)
            found[name] = _late(found[name], name, late)
        return found

    async def _settled(self) -> tuple[Offsets, dict[str, dict[TopicPartition, tuple[int, int]]]]:
        """The log's ends once the emitters have nothing more to say, and where an emitter stands still before."""
        for _ in range(_ROUNDS):
            ends = now = await asyncio.to_thread(self._topics.ends)
            silent: dict[str, dict[TopicPartition, tuple[int, int]]] = {}
            for group, topics in EMITTERS.items():

                async def positions(group: str = group, topics: tuple[str, ...] = topics) -> Offsets:
                    return await asyncio.to_thread(committed, self._settings, group, topics)

                task = self._task(f"waiting for {group}")
                silent[group] = await wait_for(positions, ends, self._patience, self._left(task))
            now = await asyncio.to_thread(self._topics.ends)
            if now == ends or any(silent.values()):
                break
        return now, silent

    async def _reach(self, name: str, ends: Offsets) -> dict[TopicPartition, tuple[int, int]]:
        partitions = [tp for tp in ends if tp.topic in SOURCES[name]]
        if name == "facts":
            await migrate(self._clickhouse, self._generation(name))
        sink = self._sink(name)

        async def positions() -> Offsets:
            return await sink.fences(partitions)

        return await wait_for(positions, ends, self._patience, self._left(self._task(f"waiting for {name}")))

    async def _read(self, ends: Offsets, take: Take) -> None:
        left = sum(max(end - self._reader.read.get(tp, -1), 0) for tp, end in ends.items())
        task = self._progress.add_task("reading the log", total=left)

        def moved(count: int) -> None:
            self._progress.advance(task, count)

        await asyncio.to_thread(self._reader.read_to, ends, take, moved)

    async def _compare(self, name: str) -> Differences:
        task = self._task(f"comparing {name}")
        if name in TABLE_VIEWS:
            found = await TABLE_VIEWS[name](self._fold, self._cassandra, self._generation(name))
            self._progress.update(task, total=found.checked, completed=found.checked)
            return found
        settings, generation = self._settings, self._generation(name)
        if name == "facts":
            found = await compare_facts(self._facts, self._clickhouse, generation, self._reader.read)
            self._progress.update(task, total=found.checked, completed=found.checked)
            return found
        if name == "search":
            searching = SearchReader(folder_of(settings, generation))
            found = await compare_search(self._fold, searching, PersonKeys(self._cassandra))
            self._progress.update(task, total=found.checked, completed=found.checked)
            return found

        def moved(done: int, of: int) -> None:
            self._progress.update(task, total=of, completed=done)

        if name == "counters":
            return await CounterComparison(self._fold, moved).run(
                CounterReader(self._redis, generation=generation, buckets=settings.buckets),
                CounterScan(self._redis, generation=generation, buckets=settings.buckets),
            )
        if name == "story_tray":
            scan = HomeFeedScan(self._redis, generation=generation, buckets=settings.buckets, feeds=TRAYS)
            reader = tray_reader(self._redis, settings, generation)
            return await FeedComparison(trays(self._fold), settings.tray_cap, moved).run(reader, scan, None)
        if name == "trending":
            comparing = TrendComparison(self._fold.trends, settings.trending_least_people, moved)
            return await comparing.run(TrendScan(self._redis, generation=generation, buckets=settings.buckets))
        if name == "affinity":
            held = AffinityScan(self._redis, generation=generation, buckets=settings.buckets)
            return await AffinityComparison(self._fold.affinity, moved).run(held)
        comparison = FeedComparison(self._fold, settings.feed_cap, moved)
        return await comparison.run(
            HomeFeedReader(self._redis, generation=generation, buckets=settings.buckets),
            HomeFeedScan(self._redis, generation=generation, buckets=settings.buckets),
            PostReader(self._cassandra, self._generation("posts"), self._generation("user_posts")),
        )

    def _owed(self, name: str) -> Differences:
        accounting = OWED[name](self._fold)
        differences = Differences(checked=accounting.checked)
        for subject, why in accounting.wrong:
            differences.add(subject, f"{subject}: {why}")
        return differences

    async def _leftovers(self) -> Differences:
        task = self._task("looking for the erased")
        found = await leftovers(self._fold, self._cassandra, ObjectStore.of(self._settings))
        self._progress.update(task, total=found.checked, completed=found.checked)
        return found

    def _sink(self, name: str) -> Sink[Any]:
        generation, buckets = self._generation(name), self._settings.buckets
        if name == "home_feed":
            return self._feed_sink()
        if name == "story_tray":
            return tray_sink(self._redis, self._settings, self._topic_ids, generation)
        if name == "counters":
            return CounterSink(self._redis, self._topic_ids, generation=generation, buckets=buckets)
        if name == "facts":
            return FactSink(self._clickhouse, generation, self._topic_ids)
        if name == "search":
            return SearchSink(self._settings, PersonKeys(self._cassandra), generation, self._topic_ids)
        if name == "trending":
            least = self._settings.trending_least_people
            return TrendSink(self._redis, self._topic_ids, generation=generation, buckets=buckets, least_people=least)
        if name == "affinity":
            return AffinitySink(self._redis, self._topic_ids, generation=generation, buckets=buckets)
        return TableSink(self._cassandra, name, generation, self._topic_ids)

    def _generation(self, view: str) -> int:
        return self._live.get(view, FIRST)

    def _feed_sink(self) -> HomeFeedSink:
        settings = self._settings
        buckets = RedisBuckets(
            self._redis,
            self._topic_ids,
            generation=self._generation("home_feed"),
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
        )
        return HomeFeedSink(buckets, self._topic_ids, count=settings.buckets, pull_threshold=settings.pull_threshold)

    def _task(self, description: str) -> TaskID:
        return self._progress.add_task(description, total=None)

    def _left(self, task: TaskID) -> Callable[[int], None]:
        most = 0

        def left(count: int) -> None:
            nonlocal most
            most = max(most, count)
            self._progress.update(task, total=most or 1, completed=most - count if most else 1)

        return left


def _late(differences: Differences, name: str, late: dict[TopicPartition, tuple[int, int]]) -> Differences:
    """``differences``, after those that explain them: the partitions of which the view has not come to the end."""
    behind: dict[Hashable, str] = {
        ("late", tp): f"{name} stands at offset {at} of {tp}, whose end is {end}" for tp, (at, end) in late.items()
    }
    return replace(differences, found={**behind, **differences.found})
