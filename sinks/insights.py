"""What the facts say to the people whom they are about: how far their posts reached, and what came of it."""

# ruff: noqa: S608 (names of ours)

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from sinks.clickhouse import ClickHouse, Row, Unanswerable
from sinks.errors import StoreAway
from sinks.fact_tables import fact_tables, stands
from sinks.fact_views import view_of
from sinks.settings import Settings
from streams.records import TopicPartition

SECONDS = 5.0
"""How long a question may take: it is asked while somebody looks at a page."""
AGAIN_SECONDS = 2.0
"""For so long is a ClickHouse that was away not asked again."""
OF_POSTS = ("accounts", "activity", "engagement")
OF_FOLLOWERS = ("accounts", "graph")
OF_STORIES = ("accounts", "stories")
SOURCES = ("accounts", "activity", "engagement", "graph", "stories")
"""What insights are made of: each kind, and all of them. ``accounts`` says who was erased, and is not counted."""


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
    sights: int = 0
    """``reach`` of each post, added up: who saw two of them counts twice."""

    @property
    def engaged(self) -> int:
        """All that was done and stands."""
        return self.likes + self.comments + self.saves + self.shares

    @property
    def engagement_rate(self) -> float | None:
        """What was done for each person who saw a post; None where nobody did."""
        return _rate(self.engaged, self.sights)


class Hour(NamedTuple):
    """What happened in an hour of the day (UTC), on whichever day."""

    hour: int
    impressions: int = 0
    likes: int = 0
    comments: int = 0
    saves: int = 0
    shares: int = 0

    @property
    def engagement_rate(self) -> float | None:
        """What was done for each impression; None where there was none."""
        return _rate(self.likes + self.comments + self.saves + self.shares, self.impressions)


class Day(NamedTuple):
    """Who follows at the end of a day (UTC) and did not before it, the other way round, and how many do."""

    day: date
    gained: int
    lost: int
    followers: int


class StoryCounts(NamedTuple):
    """Of a story, or of several: how often it was opened, by how many people, how many of whom saw it to its end at one
    time or another, and how many reactions stand."""

    views: int = 0
    reach: int = 0
    completed: int = 0
    reactions: int = 0
    sights: int = 0
    """``reach`` of each story, added up."""
    ends: int = 0
    """``completed`` of each story, added up."""

    @property
    def completion_rate(self) -> float | None:
        """How many of those who opened a story saw it to its end; None where nobody opened it."""
        return _rate(self.ends, self.sights)


class Growth(NamedTuple):
    """Followers at the end, and how many came and went since the beginning."""

    followers: int
    gained: int
    lost: int


class Reached(NamedTuple):
    """How far the facts of a partition go: the offset, and the broker's time of the last one in ms."""

    offset: int
    at: int


def _rate(done: int, of: int) -> float | None:
    return round(done / of, 4) if of else None


_PEOPLE = re.compile(r"\{stands:(\w+)\}")
_SINCE, _UNTIL = "fromUnixTimestamp64Milli({since:Int64})", "fromUnixTimestamp64Milli({until:Int64})"
_DURING = f"at >= {_SINCE} AND at < {_UNTIL}"
_OF = "author_id = {author:Int64} AND ({post:Int64} = 0 OR post_id = {post:Int64})"
_STANDING = f"{{standing}}(since = {_SINCE}, until = {_UNTIL})"
_SEEN = (
    "SELECT post_id, uniqExact(viewer_id), count(), sum(dwell_ms) FROM {activity} "
    f"WHERE _event = 'PostSeen' AND {_OF} AND {_DURING} AND {{stands:viewer_id}} GROUP BY GROUPING SETS ((post_id), ())"
)
_DONE = (
    "SELECT post_id, countIf(kind = 'like'), countIf(kind = 'comment'), countIf(kind = 'save'), "
    f"countIf(kind = 'share') FROM {_STANDING} WHERE {_OF} GROUP BY post_id"
)
_HOURS = (
    "SELECT hour, countIf(kind = 'seen'), countIf(kind = 'like'), countIf(kind = 'comment'), countIf(kind = 'save'), "
    "countIf(kind = 'share') FROM (SELECT toHour(at) AS hour, 'seen' AS kind FROM {activity} "
    f"WHERE _event = 'PostSeen' AND author_id = {{author:Int64}} AND {_DURING} AND {{stands:viewer_id}} "
    f"UNION ALL SELECT toHour(at) AS hour, kind FROM {_STANDING} WHERE author_id = {{author:Int64}}) GROUP BY hour"
)
_FOLLOWS = (
    "_event IN ('Followed', 'Unfollowed', 'FollowerRemoved') AND followee_id = {author:Int64} AND {stands:follower_id}"
)
_GROWTH = (
    "SELECT countIf(after), countIf(after AND NOT before), countIf(before AND NOT after) FROM (SELECT "
    f"argMaxIf(_event = 'Followed', _offset, at < {_SINCE}) AS before, "
    f"argMaxIf(_event = 'Followed', _offset, at < {_UNTIL}) AS after FROM {{graph}} "
    f"WHERE {_FOLLOWS} GROUP BY follower_id)"
)
_DAYS = (
    "SELECT day, countIf(after AND NOT before) AS gained, countIf(before AND NOT after) AS lost, "
    "sum(toInt64(gained) - toInt64(lost)) OVER (ORDER BY day) FROM ("
    "SELECT day, argMax(follows, last) OVER (PARTITION BY follower_id ORDER BY day) AS after, "
    "argMax(follows, last) OVER (PARTITION BY follower_id ORDER BY day "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM ("
    "SELECT follower_id, toDate(at) AS day, argMax(_event = 'Followed', _offset) AS follows, max(_offset) AS last "
    f"FROM {{graph}} WHERE {_FOLLOWS} AND at < {_UNTIL} GROUP BY follower_id, day)) GROUP BY day ORDER BY day"
)
_OPENED = (
    "SELECT story_id, count(), uniqExact(actor_id), uniqExactIf(actor_id, completed) FROM {stories} "
    f"WHERE _event = 'StoryViewed' AND author_id = {{author:Int64}} AND actor_id != author_id AND {_DURING} "
    "AND {stands:actor_id} GROUP BY GROUPING SETS ((story_id), ())"
)
_REACTED = (
    "SELECT story_id, count() FROM (SELECT story_id, argMax(_event, _offset) AS last FROM {stories} "
    "WHERE _event IN ('StoryReacted', 'StoryReactionWithdrawn') AND author_id = {author:Int64} "
    f"AND actor_id != author_id AND {_DURING} AND {{stands:actor_id}} "
    "GROUP BY story_id, actor_id HAVING last = 'StoryReacted') GROUP BY story_id"
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
        seen, done = await asyncio.gather(*(self._rows(text, given) for text in (_SEEN, _DONE)))
        found: dict[int, Counts] = {}
        total = Counts()
        for post, reach, impressions, dwell in seen:
            if post:
                found[post] = Counts(reach, impressions, dwell, sights=reach)
            else:  # the grouping set of all
                total = Counts(reach, impressions, dwell)
        for post, likes, comments, saves, shares in done:
            counted = {"likes": likes, "comments": comments, "saves": saves, "shares": shares}
            found[post] = found.get(post, Counts())._replace(**counted)
        names = ("likes", "comments", "saves", "shares", "sights")
        return total._replace(**{name: sum(getattr(one, name) for one in found.values()) for name in names}), found

    async def hours(self, author_id: int, since: int, until: int) -> list[Hour]:
        """What happened with the posts of ``author_id`` in each of the 24 hours of the day."""
        rows = await self._rows(_HOURS, {"author": author_id, "since": since, "until": until})
        found = {row[0]: Hour(*row) for row in rows}
        return [found.get(hour, Hour(hour)) for hour in range(24)]

    async def days(self, author_id: int, since: int, until: int) -> list[Day]:
        """Of the followers of ``author_id``: each day from that of ``since`` to that of ``until``."""
        rows = [Day(*row) for row in await self._rows(_DAYS, {"author": author_id, "until": until})]
        found = {row.day: row for row in rows}
        day, last = (datetime.fromtimestamp(at / 1000, UTC).date() for at in (since, until - 1))
        followers = next((row.followers for row in reversed(rows) if row.day < day), 0)
        days: list[Day] = []
        while day <= last:
            days.append(found.get(day, Day(day, 0, 0, followers)))
            followers = days[-1].followers
            day += timedelta(days=1)
        return days

    async def stories(self, author_id: int, since: int, until: int) -> tuple[StoryCounts, dict[int, StoryCounts]]:
        """What happened with the stories of ``author_id``: in all, and by story."""
        given = {"author": author_id, "since": since, "until": until}
        opened, reacted = await asyncio.gather(*(self._rows(text, given) for text in (_OPENED, _REACTED)))
        found: dict[int, StoryCounts] = {}
        total = StoryCounts()
        for story, views, reach, completed in opened:
            if story:
                found[story] = StoryCounts(views, reach, completed, sights=reach, ends=completed)
            else:  # the grouping set of all
                total = StoryCounts(views, reach, completed)
        for story, reactions in reacted:
            found[story] = found.get(story, StoryCounts())._replace(reactions=reactions)
        names = ("reactions", "sights", "ends")
        return total._replace(**{name: sum(getattr(one, name) for one in found.values()) for name in names}), found

    async def growth(self, author_id: int, since: int, until: int) -> Growth:
        """Of the followers of ``author_id``."""
        rows = await self._rows(_GROWTH, {"author": author_id, "since": since, "until": until})
        return Growth(*rows[0])

    async def reached(self, topics: Collection[str] = SOURCES) -> dict[TopicPartition, Reached]:
        """How far the facts go, of each partition of ``topics`` that has any."""
        tables = fact_tables()
        selects = (
            f"SELECT '{topic}', _partition, max(_offset), toUnixTimestamp64Milli(max(_at)) "
            f"FROM {tables[topic].name(self._generation())} GROUP BY _partition"
            for topic in topics
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
        generation = self._generation()
        for topic in SOURCES:
            text = text.replace(f"{{{topic}}}", fact_tables()[topic].name(generation))
        text = text.replace("{standing}", view_of(generation))
        text = _PEOPLE.sub(lambda found: stands(generation, found[1]), text)
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
