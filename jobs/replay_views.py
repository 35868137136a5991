"""Every view, by name, and what replay stands on for each: its stores, its sinks, the comparison of two generations."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from jobs.emitters import EMITTERS, PUSHERS
from sinks.affinity import AFFINITIES, AffinitySink
from sinks.cassandra import Cassandra
from sinks.clickhouse import ClickHouse
from sinks.counters import COUNTED, CounterSink
from sinks.fact_migrations import drop as drop_facts
from sinks.fact_migrations import migrate
from sinks.facts import FactSink
from sinks.generation_tables import drop as drop_tables
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_bulk import BulkHomeFeedSink
from sinks.home_feed_watch import FEEDS, STORY_TRAYS
from sinks.person_keys import PersonKeys
from sinks.redis import Redis, connect
from sinks.redis_keys import GenerationKeys
from sinks.search import SearchSink
from sinks.search import drop as drop_index
from sinks.search_index import folder_of
from sinks.settings import Settings
from sinks.sink import Sink
from sinks.story_tray import tray_sink
from sinks.tables import TableSink, uncovered
from sinks.topics import Topics
from sinks.trending import TRENDS, TrendSink
from sinks.view_tables import make_tables
from streams.accounts import ACCOUNTS
from streams.affinity import AFFINITY
from streams.comments import COMMENTS
from streams.counters import COUNTERS
from streams.facts import FACTS
from streams.follows import FOLLOWS
from streams.home_feed import HOME_FEED
from streams.likes import LIKES
from streams.notifications import NOTIFICATIONS
from streams.posts import POSTS
from streams.records import Spans
from streams.saves import SAVES
from streams.search import SEARCH
from streams.seen_posts import SEEN_POSTS
from streams.stories import STORIES
from streams.story_tray import STORY_TRAY
from streams.story_views import STORY_VIEWS
from streams.tagged_posts import TAGGED_POSTS
from streams.trending import TRENDING
from streams.user_posts import USER_POSTS
from streams.views import Delete, Upsert, View

_VIEWS: tuple[View[Any], ...] = (
    *(ACCOUNTS, FOLLOWS, POSTS, USER_POSTS, NOTIFICATIONS, LIKES, COMMENTS, SAVES, HOME_FEED, COUNTERS),
    *(STORIES, STORY_VIEWS, STORY_TRAY, TRENDING, AFFINITY, TAGGED_POSTS, SEEN_POSTS, FACTS),
    SEARCH,
)
VIEWS: dict[str, View[Any]] = {view.name: view for view in _VIEWS}
PREFIXES = {view.name: view.prefix for view in (FEEDS, COUNTED, STORY_TRAYS, TRENDS, AFFINITIES)}
"""Of views in Redis, what their keys begin with before the generation."""
REDIS_SECONDS = 60.0


class UnknownView(ValueError):
    """There is no view of this name, or it is none that can be replayed."""


def view_named(name: str) -> View[Any]:
    """The view ``name``; raises ``UnknownView``."""
    if name in EMITTERS:
        raise UnknownView(
            f"{name} is an emitter: it writes events into the log, and saying them again would say them twice. "
            "Replay the views that read them."
        )
    if name in PUSHERS:
        raise UnknownView(f"{name} tells people's devices of notices: there is nothing to rebuild, and it tells once.")
    if name not in VIEWS:
        raise UnknownView(f"there is no view {name!r}; there are {', '.join(VIEWS)}")
    return VIEWS[name]


def stores_of(view: View[Any]) -> list[str]:
    """Where its rows are."""
    if view is FACTS:
        return ["clickhouse"]
    if view is SEARCH:
        return ["folder"]
    return ["redis"] if view.name in PREFIXES else ["cassandra"]


class UncoveredRows(TableSink):
    """Leaves out what a later record of the same batch covers."""

    async def apply(self, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        await super().apply(uncovered(writes), spans)


class ReplayStores:
    """What jobs on generations stand on, opened together and closed in reverse order."""

    cassandra: Cassandra
    redis: Redis
    topics: Topics
    topic_ids: dict[str, str]
    _clickhouse: ClickHouse | None = None

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics(settings)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with self._stack:
            self.topic_ids = await asyncio.to_thread(self.topics.ids)
            self.cassandra = await self._stack.enter_async_context(await Cassandra.connect(self.settings))
            self.redis = connect(self.settings.redis_url, seconds=REDIS_SECONDS)
            self._stack.push_async_callback(self.redis.aclose)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def ready(self, view: View[Any]) -> None:
        """To be called before ``view`` is asked for anything: ClickHouse is needed by one view, and may be away for the
        others. Raises ``StoreAway``."""
        if view is FACTS and self._clickhouse is None:
            connecting = ClickHouse.connect(self.settings, make_database=True)
            self._clickhouse = await self._stack.enter_async_context(await connecting)

    @property
    def clickhouse(self) -> ClickHouse:
        """Once ``ready`` was called for the facts."""
        if self._clickhouse is None:
            raise RuntimeError("ClickHouse is asked before it was connected to")
        return self._clickhouse

    async def make_tables(self, view: View[Any], generation: int) -> None:
        """The tables of one generation, where it has any. Idempotent; raises ``StoreAway``."""
        if view is FACTS:
            await migrate(self.clickhouse, generation)
        elif view is not SEARCH:
            await make_tables(self.cassandra, view.name, generation)

    def live_sink(self, view: View[Any], generation: int) -> Sink[Any]:
        """The sink that agents use, on any generation."""
        if view is COUNTERS:
            count = self.settings.buckets
            return CounterSink(self.redis, self.topic_ids, generation=generation, buckets=count)
        if view is STORY_TRAY:
            return tray_sink(self.redis, self.settings, self.topic_ids, generation)
        if view is TRENDING:
            least, count = self.settings.trending_least_people, self.settings.buckets
            return TrendSink(self.redis, self.topic_ids, generation=generation, buckets=count, least_people=least)
        if view is AFFINITY:
            return AffinitySink(self.redis, self.topic_ids, generation=generation, buckets=self.settings.buckets)
        if view is FACTS:
            return FactSink(self.clickhouse, generation, self.topic_ids)
        if view is SEARCH:
            return SearchSink(self.settings, PersonKeys(self.cassandra), generation, self.topic_ids)
        if view is not HOME_FEED:
            return TableSink(self.cassandra, view.name, generation, self.topic_ids)
        settings = self.settings
        buckets = RedisBuckets(
            self.redis,
            self.topic_ids,
            generation=generation,
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
        )
        return HomeFeedSink(buckets, self.topic_ids, count=settings.buckets, pull_threshold=settings.pull_threshold)

    def building_sink(self, view: View[Any], generation: int) -> Sink[Any]:
        """The sink that builds a generation fastest before anybody reads it."""
        if view in (COUNTERS, STORY_TRAY, TRENDING, AFFINITY, FACTS, SEARCH):
            return self.live_sink(view, generation)
        return self.bulk_sink(view, generation) or UncoveredRows(self.cassandra, view.name, generation, self.topic_ids)

    def keys(self, view: View[Any], generation: int) -> GenerationKeys:
        """The keys of a view that is in Redis."""
        return GenerationKeys(self.redis, f"{PREFIXES[view.name]}{generation}:")

    def bulk_sink(self, view: View[Any], generation: int) -> BulkHomeFeedSink | None:
        """The sink that keeps what it builds until it is loaded; None for a view that has none."""
        if view is not HOME_FEED:
            return None
        settings = self.settings
        return BulkHomeFeedSink(
            self.redis,
            self.topic_ids,
            generation=generation,
            buckets=settings.buckets,
            cap=settings.feed_cap,
            slack=settings.feed_slack,
            pull_threshold=settings.pull_threshold,
            checkpoint=self._checkpoint(view, generation),
        )

    def forget_checkpoint(self, view: View[Any], generation: int) -> None:
        """What a bulk sink kept on this machine is needed no more."""
        shutil.rmtree(self._checkpoint(view, generation), ignore_errors=True)

    def _checkpoint(self, view: View[Any], generation: int) -> Path:
        return self.settings.shutterlog_home / "replay" / f"{self.settings.topic_prefix}{view.name}-{generation}"


async def drop_generation(stores: ReplayStores, view: View[Any], number: int) -> list[str]:
    """Remove what a generation holds; what was removed, for people. Nobody may point to it any more."""
    removed = await drop_tables(stores.cassandra, view.name, number)
    if view is FACTS:
        removed = await drop_facts(stores.clickhouse, number)
    if view is SEARCH:
        folder = folder_of(stores.settings, number)
        removed = [str(folder)] if await asyncio.to_thread(drop_index, folder) else []
    if "redis" in stores_of(view):
        removed = [f"{await stores.keys(view, number).unlink():,} keys"]
        stores.forget_checkpoint(view, number)
    return removed
