"""Read-your-writes over views: the token that a write's answer carries, and waiting until a view has passed it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Protocol

from sinks.cassandra import Cassandra
from streams.accounts import ACCOUNTS
from streams.affinity import AFFINITY
from streams.comments import COMMENTS
from streams.counters import COUNTERS
from streams.follows import FOLLOWS
from streams.home_feed import HOME_FEED
from streams.likes import LIKES
from streams.notifications import NOTIFICATIONS
from streams.posts import POSTS
from streams.records import TopicPartition
from streams.saves import SAVES
from streams.search import SEARCH
from streams.seen_posts import SEEN_POSTS
from streams.stories import STORIES
from streams.story_tray import STORY_TRAY
from streams.story_views import STORY_VIEWS
from streams.tagged_posts import TAGGED_POSTS
from streams.trending import TRENDING
from streams.user_posts import USER_POSTS

Token = Mapping[TopicPartition, int]
"""Offsets of one's own writes, the last one of each partition."""

_VIEWS = (
    *(ACCOUNTS, FOLLOWS, POSTS, USER_POSTS, NOTIFICATIONS, LIKES, COMMENTS, SAVES, HOME_FEED, COUNTERS),
    *(STORIES, STORY_VIEWS, STORY_TRAY, TRENDING, AFFINITY, TAGGED_POSTS, SEEN_POSTS),
    SEARCH,
)
SOURCES = {view.name: frozenset(view.sources) for view in _VIEWS}
LONGEST_TOKEN = 1024
"""Characters. A token names a few writes; one that names hundreds is nobody's."""
FIRST_PAUSE = 0.004
LONGEST_PAUSE = 0.1
"""Seconds between two looks at a fence; each pause is half as long again as the one before."""

_ENTRY = re.compile(r"([a-z_]{1,32})-([0-9]{1,5})-([0-9]{1,18})", re.ASCII)


def format(token: Token) -> str:
    """``topic-partition-offset``, comma-separated. Empty for no writes."""
    return ",".join(f"{tp}-{offset}" for tp, offset in sorted(token.items()))


def parse(text: str) -> dict[TopicPartition, int]:
    """What ``format`` wrote. Raises ValueError, with a sentence for the client, for anything else."""
    if len(text) > LONGEST_TOKEN:
        raise ValueError(f"a consistency token has at most {LONGEST_TOKEN} characters, this one {len(text)}")
    token: dict[TopicPartition, int] = {}
    for entry in text.split(",") if text else ():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"{entry!r} is no consistency token: it has to read topic-partition-offset")
        tp = TopicPartition(match[1], int(match[2]))
        token[tp] = max(int(match[3]), token.get(tp, 0))
    return token


class FeedFences(Protocol):
    """What is asked of ``HomeFeedReader`` here."""

    async def fence(self, user_id: int, tp: TopicPartition) -> int:
        """The offset up to which that person's feed is applied; -1 for nothing."""


class CounterFences(Protocol):
    """What is asked here of readers of counts, trends, affinity and search."""

    async def fence(self, tp: TopicPartition) -> int:
        """The offset up to which every count is applied; -1 for nothing."""


class TableFences:
    """Waits until views of rows in Cassandra have applied what is in the log."""

    def __init__(self, cassandra: Cassandra, generations: Mapping[str, int] | None = None) -> None:
        """``generations`` names the live generation of views; 1 where it does not."""
        self._cassandra = cassandra
        self._generations = generations or {}

    async def wait(self, view: str, user_id: int, token: Token, seconds: float) -> bool:
        """Whether ``view``, as ``user_id`` sees it, holds all that ``token`` names of its sources, within ``seconds``.

        Looks once even for 0 seconds, and at once. Writes to topics that the view does not read are no reason to wait.
        Raises ``StoreAway``, and KeyError for an unknown view.
        """
        sources = SOURCES[view]
        missing = {tp: offset for tp, offset in token.items() if tp.topic in sources}
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause = FIRST_PAUSE
        while True:
            reached = await asyncio.gather(*(self.fence(view, user_id, tp) for tp in missing))
            missing = {tp: missing[tp] for tp, at in zip(list(missing), reached, strict=True) if at < missing[tp]}
            left = end - loop.time()
            if not missing or left <= 0:
                return not missing
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    async def applied(self, view: str) -> dict[TopicPartition, int]:
        """The offsets up to which a view of rows in Cassandra is applied, of each partition of which anything is."""
        rows = await self._cassandra.execute(
            "SELECT topic, partition, applied_offset FROM fences WHERE view_name = ? AND generation = ?",
            (view, self._generations.get(view, 1)),
        )
        found: dict[TopicPartition, int] = {}
        for row in rows:
            tp = TopicPartition(row.topic, row.partition)
            found[tp] = min(row.applied_offset, found.get(tp, row.applied_offset))  # as in ``fence``
        return found

    async def fence(self, view: str, user_id: int, tp: TopicPartition) -> int:
        """The offset of ``tp`` up to which ``view`` is applied for ``user_id``; -1 for nothing."""
        rows = await self._cassandra.execute(
            "SELECT applied_offset FROM fences WHERE view_name = ? AND generation = ? AND topic = ? AND partition = ?",
            (view, self._generations.get(view, 1), tp.topic, tp.partition),
        )
        # Two rows mean a topic that was made again; the view stands still until an operator has decided.
        return min((row.applied_offset for row in rows), default=-1)


class Fences(TableFences):
    """Waits until views, wherever they are, have applied a person's own writes."""

    def __init__(
        self,
        cassandra: Cassandra,
        home_feed: FeedFences,
        counters: CounterFences,
        generations: Mapping[str, int] | None = None,
        story_tray: FeedFences | None = None,
        trending: CounterFences | None = None,
        affinity: CounterFences | None = None,
        search: CounterFences | None = None,
    ) -> None:
        """``generations`` as in ``TableFences``."""
        super().__init__(cassandra, generations)
        self._feeds = {HOME_FEED.name: home_feed, STORY_TRAY.name: story_tray}
        self._whole = {COUNTERS.name: counters, TRENDING.name: trending, AFFINITY.name: affinity}
        self._whole[SEARCH.name] = search

    async def fence(self, view: str, user_id: int, tp: TopicPartition) -> int:
        """See ``TableFences``."""
        if (feeds := self._feeds.get(view)) is not None:
            return await feeds.fence(user_id, tp)
        if (whole := self._whole.get(view)) is not None:
            return await whole.fence(tp)
        return await super().fence(view, user_id, tp)
