"""Two generations of a view, as readers get them: in whole first, then only what differed, after the same offsets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Protocol, cast

from jobs.replay_affinity import AffinityComparison
from jobs.replay_counters import CounterComparison
from jobs.replay_facts import FactComparison
from jobs.replay_search import SearchComparison
from jobs.replay_trending import TrendComparison
from jobs.replay_views import ReplayStores
from jobs.verify_differences import Differences
from sinks.cassandra import Cassandra
from sinks.generation_tables import Key, Pair, pairs, side_by_side
from sinks.generations import now_ms
from sinks.home_feed_buckets import HOME_FEEDS, TRAYS, Feeds
from sinks.home_feed_keys import HomeFeedKeys, Name, chunks
from sinks.home_feed_reader import HomeFeedReader, Skeleton
from sinks.posts import PostReader
from sinks.scans import COLUMNS, media_list_of, media_of
from sinks.search_index import folder_of
from sinks.search_reader import SearchReader
from sinks.stories import StoryReader, StoryRow
from sinks.view_tables import TABLES
from streams.affinity import AFFINITY
from streams.counters import COUNTERS
from streams.facts import FACTS
from streams.home_feed import HOME_FEED
from streams.search import SEARCH
from streams.story_tray import STORY_TRAY
from streams.trending import TRENDING
from streams.views import View

_TOLD = 2000
_SHORT = 80
_SOON_MS = 120_000


class Comparison(Protocol):
    """Of the live generation (``was``) with the one that was built (``new``)."""

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """All of both; ``moved`` hears how many subjects were compared since it heard last. Raises ``StoreAway``."""

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """Only these, as ``whole`` named them. Raises ``StoreAway``."""


def comparison_of(stores: ReplayStores, view: View[Any], was: int, new: int, live: Mapping[str, int]) -> Comparison:
    """``live`` says which generation of the other views is live: the rules that readers apply ask posts."""
    if view is HOME_FEED:
        return FeedComparison(stores, was, new, PostReader(stores.cassandra, live["posts"], live["user_posts"]))
    if view is STORY_TRAY:
        return FeedComparison(stores, was, new, ToldStories(stores.cassandra, live["stories"]), TRAYS)
    if view is COUNTERS:
        return CounterComparison(stores, was, new)
    if view is TRENDING:
        return TrendComparison(stores, was, new)
    if view is AFFINITY:
        return AffinityComparison(stores, was, new)
    if view is SEARCH:
        return SearchComparison(*(SearchReader(folder_of(stores.settings, number)) for number in (was, new)))
    if view is FACTS:
        return FactComparison(stores.clickhouse, was, new)
    return TableComparison(stores, view, was, new)


class TableComparison:
    """Row by row, in Cassandra's order."""

    def __init__(self, stores: ReplayStores, view: View[Any], was: int, new: int) -> None:
        self._cassandra, self._was, self._new = stores.cassandra, was, new
        self._tables = [name for name, table in TABLES.items() if table.view == view.name]

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        found = Differences()
        for table in self._tables:
            told = found.checked
            async for pair in side_by_side(self._cassandra, table, self._was, self._new):
                _compare_rows(found, table, pair)
                if found.checked >= told + _TOLD:
                    moved(found.checked - told)
                    told = found.checked
            moved(found.checked - told)
        return found

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        found = Differences()
        keys: dict[str, list[Key]] = {}
        for subject in subjects:
            table, key = cast(tuple[str, Key], subject)  # as _compare_rows named it
            keys.setdefault(table, []).append(key)
        for table, some in keys.items():
            async for pair in pairs(self._cassandra, table, self._was, self._new, some):
                _compare_rows(found, table, pair)
        return found


def _compare_rows(found: Differences, table: str, pair: Pair) -> None:
    width = len(TABLES[table].key)
    was, new = (None if row is None else _read(table, tuple(row[width:])) for row in (pair.one, pair.other))
    found.checked += 1
    if was == new:
        return
    subject, name = (table, pair.key), f"{table}({', '.join(map(str, pair.key))})"
    if was is None:
        found.add(subject, f"{name} is not in the live generation")
    elif new is None:
        found.add(subject, f"{name} is only in the live generation")
    else:
        unlike = [
            f"{column} is {_short(a)} in the live generation and {_short(b)} in the new one"
            for column, a, b in zip(COLUMNS[table], was, new, strict=False)
            if a != b
        ]
        found.add(subject, f"{name}: {'; '.join(unlike)}")


def _read(table: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """What readers make of a row; None for one that they pass over. What is about to end may be gone from one
    generation before the other."""
    if TABLES[table].expires:
        ends = values[COLUMNS[table].index("expires_at")]
        if ends is not None and ends <= now_ms() + _SOON_MS:
            return None
    if table == "user_posts":
        published, deleted = values
        return ("shown",) if published and not deleted else None
    if table == "posts":
        named = dict(zip(COLUMNS[table], values, strict=True))
        named["media"] = media_list_of(named["media"])
        named["deleted"] = bool(named["deleted"])
        return tuple(named.values())
    if table == "media":
        named = dict(zip(COLUMNS[table], values, strict=True))
        named["rendered"] = media_of(named["rendered"])
        return tuple(named.values())
    return values


def _short(value: object) -> str:
    if isinstance(value, bytes):  # sealed, and nobody's to read
        return f"{len(value)} sealed bytes"
    text = repr(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


class KnownPost(Protocol):
    """What the comparison asks of a post."""

    @property
    def author_id(self) -> int: ...
    @property
    def deleted(self) -> bool: ...


class KnownPosts(Protocol):
    """Where posts are looked up."""

    async def by_ids(self, ids: Collection[int]) -> Mapping[int, KnownPost]:
        """Those of ``ids`` that are known. Raises ``StoreAway``."""


class ToldStories:
    """``KnownPosts`` of a tray: stories; one that is over is as good as deleted, since nobody is shown it."""

    def __init__(self, cassandra: Cassandra, generation: int) -> None:
        self._stories = StoryReader(cassandra, generation)

    async def by_ids(self, ids: Collection[int]) -> Mapping[int, KnownPost]:
        """See ``KnownPosts``."""
        now = now_ms()
        rows = await self._stories.by_ids(ids)
        over = {n: row for n, row in rows.items() if row.published_at is not None and (row.expires_at or 0) <= now}
        gone = StoryRow(0, 0, "published", None, None, None, deleted=True)
        return {story_id: rows[story_id] if story_id in rows.keys() - over.keys() else gone for story_id in ids}


class FeedComparison:
    """Feeds above both floors after the rules that readers apply; follower sets; timelines.

    ``notes``: ``left_to_rules``, posts that one generation holds and that no reader is shown (deleted, or of somebody
    who is not followed); ``early_floors_live`` and ``early_floors_new``, feeds that go on in Cassandra before their
    ``FEED_CAP``-th post; ``asleep``, people who were not seen for long, and have no feed in one of both.
    """

    def __init__(self, stores: ReplayStores, was: int, new: int, posts: KnownPosts, feeds: Feeds = HOME_FEEDS) -> None:
        settings = stores.settings
        self._cap = settings.feed_cap if feeds is HOME_FEEDS else settings.tray_cap
        self._posts = posts
        self._keys = HomeFeedKeys(stores.redis, was, feeds), HomeFeedKeys(stores.redis, new, feeds)
        self._readers = (
            HomeFeedReader(stores.redis, generation=was, buckets=settings.buckets, feeds=feeds),
            HomeFeedReader(stores.redis, generation=new, buckets=settings.buckets, feeds=feeds),
        )

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        names = await self._keys[0].names() | await self._keys[1].names()
        return await self._look(names, moved)

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        return await self._look({name for name, _ in cast(Collection[tuple[Name, int]], subjects)}, lambda count: None)

    async def _look(self, names: Collection[Name], moved: Callable[[int], None]) -> Differences:
        found = Differences(notes={"left_to_rules": 0, "early_floors_live": 0, "early_floors_new": 0, "asleep": 0})
        ordered = sorted(names)
        for some in chunks([name for name in ordered if name.kind in "fo"]):
            await self._sets(found, some)
            moved(len(some))
        for some in chunks([name for name in ordered if name.kind == "t"]):
            await self._timelines(found, some)
            moved(len(some))
        # Who follows somebody may have no feed in one generation, and none in the other: asked all the same.
        people = {Name(name.bucket, "h", name.user_id) for name in ordered if name.kind in "ho"}
        for some in chunks(sorted(people)):
            await self._feeds(found, some)
            moved(len(some))
        return found

    async def _sets(self, found: Differences, names: list[Name]) -> None:
        live, new = await self._keys[0].sets(names), await self._keys[1].sets(names)
        for name, was, now in zip(names, live, new, strict=True):
            found.checked += 1
            for person in was ^ now:
                found.add((name, person), f"{name}: {person} is only in the {_where(person in was)}")

    async def _timelines(self, found: Differences, names: list[Name]) -> None:
        live, new = await self._keys[0].timelines(names), await self._keys[1].timelines(names)
        unlike: dict[Name, tuple[set[int], set[int]]] = {}
        for name, (was, floor), (now, other) in zip(names, live, new, strict=True):
            found.checked += 1
            above = max(floor, other)
            only = {post for post in was - now if post > above}, {post for post in now - was if post > above}
            if only[0] or only[1]:
                unlike[name] = only
        known = await self._posts.by_ids({post for only in unlike.values() for post in only[0] | only[1]})
        for name, only in unlike.items():
            self._tell(found, name, only, known, None)

    async def _feeds(self, found: Differences, names: list[Name]) -> None:
        of = {name.user_id: name for name in names}
        live, new = [await reader.skeletons(list(of)) for reader in self._readers]
        unlike: dict[Name, tuple[set[int], set[int]]] = {}
        for user, name in of.items():
            found.checked += 1
            self._note_floors(found, live[user], new[user])
            above = max(live[user].floor, new[user].floor)
            was, now = set(live[user].ids), set(new[user].ids)
            only = {post for post in was - now if post > above}, {post for post in now - was if post > above}
            if only[0] or only[1]:
                unlike[name] = only
        known = await self._posts.by_ids({post for only in unlike.values() for post in only[0] | only[1]})
        for name, only in unlike.items():
            followed = [set(await reader.following_of(name.user_id)) for reader in self._readers]
            self._tell(found, name, only, known, followed)

    def _note_floors(self, found: Differences, live: Skeleton, new: Skeleton) -> None:
        found.notes["early_floors_live"] += live.floor > 0 and len(live.ids) < self._cap and not live.asleep
        found.notes["early_floors_new"] += new.floor > 0 and len(new.ids) < self._cap and not new.asleep

    def _tell(
        self,
        found: Differences,
        name: Name,
        only: tuple[set[int], set[int]],
        known: Mapping[int, KnownPost],
        followed: list[set[int]] | None,
    ) -> None:
        """What of ``only`` in the live and ``only`` in the new generation a reader is shown."""
        for which, posts in enumerate(only):
            for post in posts:
                row = known.get(post)
                if row is not None and (row.deleted or (followed is not None and row.author_id not in followed[which])):
                    found.notes["left_to_rules"] += 1
                else:
                    found.add((name, post), f"{name}: post {post} is only in the {_where(which == 0)}")


def _where(live: bool) -> str:
    return "live generation" if live else "new one"
