"""What the facts say to the people whom they are about: how far their posts reached, and what came of it."""

# ruff: noqa: S608 (names of ours)

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sinks.clickhouse import ClickHouse, Row, Unanswerable
from sinks.errors import StoreAway
from sinks.fact_tables import fact_tables
from sinks.settings import Settings
from streams.records import TopicPartition

SECONDS = 5.0
"""How long a question may take: it is asked while somebody looks at a page."""
AGAIN_SECONDS = 2.0
"""For so long is a ClickHouse that was away not asked again."""
SOURCES = ("activity", "engagement", "graph")
"""What insights are made of."""


class Counts(NamedTuple):
    """Of a post, or of several. ``reach``: people who saw it; ``impressions``: how often it was seen; ``dwell_ms``: for
    how long in all; ``likes`` and ``saves`` without those taken back, ``comments`` without the deleted, ``shares`` once
    for each person."""

    reach: int = 0
    impressions: int = 0
    dwell_ms: int = 0
    likes: int = 0
    comments: int = 0
    saves: int = 0
    shares: int = 0


class Growth(NamedTuple):
    """Followers at the end, and how many came and went since the beginning."""

    followers: int
    gained: int
    lost: int


class Reached(NamedTuple):
    """How far the facts of a partition go: the offset, and the broker's time of the last one in ms."""

    offset: int
    at: int


_OF = "author_id = {author:Int64} AND ({post:Int64} = 0 OR post_id = {post:Int64})"
_DURING = "at >= fromUnixTimestamp64Milli({since:Int64}) AND at < fromUnixTimestamp64Milli({until:Int64})"
_SEEN = (
    "SELECT post_id, uniqExact(viewer_id), count(), sum(dwell_ms) FROM {activity} "
    f"WHERE _event = 'PostSeen' AND {_OF} AND {_DURING} GROUP BY GROUPING SETS ((post_id), ())"
)
_DONE = (
    "SELECT post_id, countIf(last = 'PostLiked'), countIf(last = 'PostSaved'), countIf(last = 'PostShared') FROM ("
    "SELECT post_id, argMax(_event, _offset) AS last FROM {engagement} WHERE "
    "_event IN ('PostLiked', 'PostUnliked', 'PostSaved', 'PostUnsaved', 'PostShared', 'PostUnshared') "
    f"AND {_OF} AND {_DURING} GROUP BY post_id, actor_id, "
    "multiIf(_event IN ('PostLiked', 'PostUnliked'), 1, _event IN ('PostShared', 'PostUnshared'), 2, 3)) "
    "GROUP BY post_id"
)
_SAID = (
    "SELECT post_id, count() FROM (SELECT post_id, comment_id FROM {engagement} WHERE "
    f"_event IN ('CommentAdded', 'CommentDeleted') AND {_OF} AND {_DURING} "
    "GROUP BY post_id, comment_id HAVING countIf(_event = 'CommentDeleted') = 0) GROUP BY post_id"
)
_GROWTH = (
    "SELECT countIf(after), countIf(after AND NOT before), countIf(before AND NOT after) FROM (SELECT "
    "argMaxIf(_event = 'Followed', _offset, at < fromUnixTimestamp64Milli({since:Int64})) AS before, "
    "argMaxIf(_event = 'Followed', _offset, at < fromUnixTimestamp64Milli({until:Int64})) AS after FROM {graph} "
    "WHERE _event IN ('Followed', 'Unfollowed', 'FollowerRemoved') AND followee_id = {author:Int64} "
    "GROUP BY follower_id)"
)


class InsightReader:
    """Asks ClickHouse, which it connects to when it is first asked. Every method raises ``StoreAway``."""

    def __init__(self, settings: Settings, generation: Callable[[], int]) -> None:
        """``generation`` says which generation of the facts is live."""
        self._settings, self._generation = settings, generation
        self._clickhouse: ClickHouse | None = None
        self._connecting = asyncio.Lock()
        self._away_until = 0.0

    async def close(self) -> None:
        """Let go of the connections."""
        if self._clickhouse is not None:
            await self._clickhouse.close()

    async def posts(self, author_id: int, since: int, until: int, post_id: int = 0) -> tuple[Counts, dict[int, Counts]]:
        """What happened from ``since`` to before ``until`` (ms) with the posts of ``author_id``, or with one of them:
        in all, and by post."""
        given = {"author": author_id, "post": post_id, "since": since, "until": until}
        seen, done, said = await asyncio.gather(*(self._rows(text, given) for text in (_SEEN, _DONE, _SAID)))
        found: dict[int, Counts] = {}
        total = Counts()
        for post, reach, impressions, dwell in seen:
            counts = Counts(reach, impressions, dwell)
            if post:
                found[post] = counts
            else:  # the grouping set of all
                total = counts
        for post, likes, saves, shares in done:
            found[post] = found.get(post, Counts())._replace(likes=likes, saves=saves, shares=shares)
        for post, comments in said:
            found[post] = found.get(post, Counts())._replace(comments=comments)
        names = ("likes", "comments", "saves", "shares")
        return total._replace(**{name: sum(getattr(one, name) for one in found.values()) for name in names}), found

    async def growth(self, author_id: int, since: int, until: int) -> Growth:
        """Of the followers of ``author_id``."""
        rows = await self._rows(_GROWTH, {"author": author_id, "since": since, "until": until})
        return Growth(*rows[0])

    async def reached(self) -> dict[TopicPartition, Reached]:
        """How far the facts go, of each partition of ``SOURCES`` that has any."""
        tables = fact_tables()
        selects = (
            f"SELECT '{topic}', _partition, max(_offset), toUnixTimestamp64Milli(max(_at)) "
            f"FROM {tables[topic].name(self._generation())} GROUP BY _partition"
            for topic in SOURCES
        )
        noted = "SELECT topic, partition, max(applied) FROM fences WHERE generation = {generation:UInt32} GROUP BY ALL"
        rows, notes = await asyncio.gather(
            self._rows(" UNION ALL ".join(selects), {}), self._rows(noted, {"generation": self._generation()})
        )
        found = {TopicPartition(topic, number): Reached(offset, at) for topic, number, offset, at in rows}
        for topic, number, applied in notes:
            tp = TopicPartition(topic, number)
            if tp in found and applied > found[tp].offset:
                found[tp] = found[tp]._replace(offset=applied)
        return found

    async def _rows(self, text: str, given: Mapping[str, int]) -> list[Row]:
        for topic in SOURCES:
            text = text.replace(f"{{{topic}}}", fact_tables()[topic].name(self._generation()))
        return await (await self._connected()).query_facts(text, given)

    async def _connected(self) -> ClickHouse:
        async with self._connecting:
            if self._clickhouse is None:
                if time.monotonic() < self._away_until:
                    raise StoreAway("ClickHouse was away a moment ago")
                try:
                    self._clickhouse = await ClickHouse.connect(self._settings, seconds=SECONDS)
                except (StoreAway, Unanswerable) as error:
                    self._away_until = time.monotonic() + AGAIN_SECONDS
                    raise StoreAway(f"ClickHouse cannot be asked: {error}") from error
            return self._clickhouse
