"""The queries of docs/analytics.md, each on a small world, with what they have to say of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from schemas.events import (
    AccountErased,
    AccountRegistered,
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    Event,
    Followed,
    MediaRejected,
    PostLiked,
    PostPublished,
    PostSaved,
    PostSeen,
    PostShared,
    PostSubmitted,
    PostUnliked,
    PostUnsaved,
    ProfileVisited,
    RenderedMedia,
    RenditionsReady,
    Source,
    StoryReacted,
    StoryReactionWithdrawn,
    StoryViewed,
    Unfollowed,
    UploadCompleted,
)
from sinks.clickhouse import ClickHouse
from sinks.fact_migrations import migrate, show
from sinks.facts import FactSink
from sinks.insights import InsightReader
from sinks.settings import Settings
from streams.facts import Fact
from streams.records import Span, TopicPartition
from streams.views import Mark
from tests.sinks.fact_worlds import IDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analytics.md"
_FOUND: list[tuple[str, str]] = re.findall(r"^### (\d+)\. .*?```sql\n(.*?)```", PAGE.read_text(), re.S | re.M)
QUERIES: Mapping[str, str] = dict(_FOUND)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ADA, BOB, CY = 1, 2, 3
GONE = 4
"""Somebody who was erased: nothing of theirs counts."""
DUSK, DAWN = 11, 12
GIVEN: dict[str, Any] = {
    "since": START.replace(tzinfo=None),
    "until": (START + 40 * DAY).replace(tzinfo=None),
    "person": ADA,
    "threshold": 2,
    "experiment": "order-1",
}
pytestmark = pytest.mark.asyncio(loop_scope="module")


def world() -> Iterator[tuple[datetime, Event]]:
    """Ada publishes two posts; Bob and Cy look, like, follow, and think better of it; so did somebody who is gone."""
    ids = count(100)

    def base(who: int, at: datetime) -> dict[str, Any]:
        return {"event_id": next(ids), "at": int(at.timestamp() * 1000), "actor_id": who}

    for person in (ADA, BOB, CY):
        yield START, AccountRegistered(**base(person, START), user_id=person, username=b"u", name=b"n")
    picture = RenderedMedia(media_id=5, width=1, height=1, blurhash="", average_color="", renditions=[])
    source = Source(topic="posts", partition=0, offset=0, n=0)
    upload: dict[str, Any] = {"media_id": 5, "owner_id": ADA}
    other: dict[str, Any] = {"media_id": 6, "owner_id": ADA}
    file: dict[str, Any] = {"original_key": "k", "size": 1, "sha256": "s", "content_type": "image/png"}
    early = START - DAY
    yield early, UploadCompleted(**base(ADA, early), media_id=4, owner_id=ADA, **file)
    yield START, UploadCompleted(**base(ADA, START), **upload, **file)
    yield START, UploadCompleted(**base(ADA, START), **other, **file)
    for _ in range(2):  # an emitter that was ended says it again
        yield START, RenditionsReady(**base(ADA, START), **upload, media=picture, source=source)
    yield START, MediaRejected(**base(ADA, START), **other, code="c", reason="r", source=source)
    for post, took in ((DUSK, 100), (DAWN, 300)):
        said: dict[str, Any] = {"post_id": post, "author_id": ADA}
        yield START, PostSubmitted(**base(ADA, START), **said, media_ids=[5], caption=b"c")
        shown = START + timedelta(milliseconds=took)
        yield shown, PostPublished(**base(ADA, shown), **said, media=[picture], source=source)
    for who, post, day, dwell, model in (
        (BOB, DUSK, 0, 4000, "m-1"),
        (BOB, DUSK, 1, 1000, ""),
        (CY, DUSK, 7, 1000, ""),
        (BOB, DAWN, 30, 5000, "m-1"),
    ):
        at = START + day * DAY
        seen: dict[str, Any] = {
            "viewer_id": who,
            "post_id": post,
            "author_id": ADA,
            "dwell_ms": dwell,
            "surface": "feed",
            "rank": 0,
            "experiment": "order-1",
            "variant": "latest" if who == CY else "ranked",
            "model": model,
        }
        yield at, PostSeen(**base(who, at), **seen, hashtags=["light"] if post == DUSK else ["light", "sea"])
    later = START + timedelta(hours=1)
    dusk: dict[str, Any] = {"post_id": DUSK, "author_id": ADA, "hashtags": ["light"], "place": "London"}
    yield later, PostLiked(**base(BOB, later), **dusk)
    yield later, PostLiked(**base(CY, later), **dusk)
    yield later, PostUnliked(**base(CY, later), post_id=DUSK, author_id=ADA)
    for number, spam in enumerate((0, 3)):
        yield later, CommentAdded(**base(CY, later), comment_id=50 + number, **dusk, text=b"t", spam=spam)
    yield START, PostShared(**base(BOB, START), **dusk)
    yield later, PostSaved(**base(BOB, later), **dusk)
    yield later, PostSaved(**base(CY, later), **dusk)
    yield later, PostUnsaved(**base(CY, later), post_id=DUSK, author_id=ADA)
    # Ada pins one of Cy's comments, and deletes the other: that is gone, whatever the log says later.
    said = {"post_id": DUSK, "author_id": ADA}
    yield later, CommentPinned(**base(ADA, later), comment_id=50, **said)
    yield later, CommentDeleted(**base(ADA, later), comment_id=51, commenter_id=CY, **said)
    yield later, CommentAdded(**base(CY, later), comment_id=51, **dusk, text=b"t", spam=3)
    yield START, ProfileVisited(**base(BOB, START), viewer_id=BOB, profile_id=ADA)
    yield START, ProfileVisited(**base(CY, START), viewer_id=CY, profile_id=ADA)
    for who in (BOB, CY):
        yield later, Followed(**base(who, later), follower_id=who, followee_id=ADA)
    for at in (later, START + DAY):  # Bob follows already
        yield at, Followed(**base(BOB, at), follower_id=BOB, followee_id=ADA)
    yield START + DAY, Unfollowed(**base(CY, START + DAY), follower_id=CY, followee_id=ADA)
    story: dict[str, Any] = {"story_id": 70, "author_id": ADA}
    # Bob saw it to its end, and looked again.
    for who, completed in ((BOB, True), (BOB, False), (CY, False), (ADA, True)):
        yield later, StoryViewed(**base(who, later), **story, completed=completed)
    for who in (BOB, CY):
        yield later, StoryReacted(**base(who, later), **story, reaction="!")
    yield later, StoryReactionWithdrawn(**base(CY, later), **story)
    # Whom Ada let in, so that she said it; what erasure takes back is what they say themselves.
    yield later, PostLiked(**base(GONE, later), **dusk)
    yield later, CommentAdded(**base(GONE, later), comment_id=52, **dusk, text=b"t")
    yield later, PostSeen(**base(GONE, later), **(seen | {"viewer_id": GONE, "post_id": DUSK}))
    yield later, Followed(**base(ADA, later), follower_id=GONE, followee_id=ADA)
    yield START + DAY, Unfollowed(**base(GONE, START + DAY), follower_id=GONE, followee_id=ADA)
    yield later, StoryViewed(**base(GONE, later), **story, completed=True)
    yield later, StoryReacted(**base(GONE, later), **story, reaction="!")
    # They deleted somebody's comment, which does not come back with their going.
    yield later, CommentAdded(**base(BOB, later), comment_id=53, **dusk, text=b"t")
    yield later, CommentDeleted(**base(GONE, later), comment_id=53, commenter_id=BOB, **said)
    yield START, AccountRegistered(**base(GONE, START), user_id=GONE, username=b"u", name=b"n")
    yield START + DAY, AccountErased(**base(GONE, START + DAY), user_id=GONE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clickhouse(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """The world's facts."""
    name = f"test_{uuid.uuid4().hex[:10]}"
    settings = Settings(clickhouse_url=clickhouse_url, clickhouse_database=name)
    async with await ClickHouse.connect(settings, make_database=True) as connected:
        await migrate(connected, 1)
        await show(connected, 1)
        facts: list[Fact] = []
        last: dict[TopicPartition, int] = {}
        for at, event in world():
            tp = TopicPartition(event.TOPIC, 0)
            last[tp] = last.get(tp, -1) + 1
            facts.append(Fact(Mark(tp, last[tp]), int(at.timestamp() * 1000), event))
        await FactSink(connected, 1, IDS).apply(facts, {tp: Span(-1, end) for tp, end in last.items()})
        yield connected
        await connected.command(f"DROP DATABASE {name} SYNC")


DAY_0 = date(2026, 3, 2)
EXPECTED: Mapping[str, list[tuple[Any, ...]]] = {
    # Bob's like, save and share, and the one comment that stands.
    "1": [(DUSK, ADA, 2, 4, 2.0), (DAWN, ADA, 1, 0, 0.0)],
    "2": [(ADA, 3, 4, 1.3333)],
    "3": [(9, 4, 0, 0, 0, 1, 0.25), (10, 0, 1, 1, 1, 0, None)],
    "4": [(70, ADA, 2, 1, 0.5, 1)],
    "5": [(DAY_0, 2, 0, 2), (DAY_0 + DAY, 0, 1, 1)],
    "6": [(DUSK, 2, 3, 2000.0, 0.3333), (DAWN, 1, 1, 5000.0, 1.0)],
    "7": [("feed", 4, 2, 2750.0)],
    "8": [("light", 2, 2, 4), ("sea", 1, 1, 1)],
    "9": [(DAY_0, 3, 1, 1, 1)],
    "10": [(2, 1, 1, 2, 2)],
    "11": [(2, [300, 300, 300])],
    "12": [(0, 0, 1)],
    "13": [(ADA, 2, 2)],
    "14": [("London", 2, 1, 2)],
    "15": [(DAY_0, 4, 2, 0.5)],
    # Of Cy one comment stands; of one person there is no error.
    "16": [
        ("latest", 1, 1, 1.0, 1000.0, 0.0, 1.0, None, 1.0, []),
        ("ranked", 1, 3, 3.0, 3333.0, 0.6667, 3.0, None, 0.3333, ["m-1"]),
    ],
}


@pytest.mark.parametrize("number", [*EXPECTED])
async def test_each_query_says_what_the_world_is(clickhouse: ClickHouse, number: str) -> None:
    text = QUERIES[number]
    named = {name: value for name, value in GIVEN.items() if f"{{{name}:" in text}
    assert await clickhouse.query(text, named) == EXPECTED[number]


async def test_insights_say_what_the_queries_say(clickhouse: ClickHouse, clickhouse_url: str) -> None:
    """Analysts and the people whom it is about are told the same."""
    settings = Settings(clickhouse_url=clickhouse_url, clickhouse_database=clickhouse.database)
    reader = InsightReader(settings, lambda: 1)
    begin, end = (int(at.timestamp() * 1000) for at in (START, START + 40 * DAY))
    named = {name: GIVEN[name] for name in ("since", "until")}
    total, posts = await reader.posts(ADA, begin, end)
    told = [(post, ADA, of.reach, of.engaged, of.engagement_rate) for post, of in posts.items()]
    assert sorted(told) == sorted(await clickhouse.query(QUERIES["1"], named)) != []
    assert [(ADA, total.sights, total.engaged, total.engagement_rate)] == await clickhouse.query(QUERIES["2"], named)
    hours = [(*one, one.engagement_rate) for one in await reader.hours(ADA, begin, end)]
    assert [one for one in hours if any(one[1:])] == await clickhouse.query(QUERIES["3"], named)
    assert len(hours) == 24
    whole, stories = await reader.stories(ADA, begin, end)
    by_story = [(story, ADA, of.reach, of.completed, of.completion_rate, of.reactions) for story, of in stories.items()]
    assert by_story == await clickhouse.query(QUERIES["4"], named)
    assert (whole.views, whole.reach, whole.completion_rate) == (3, 2, 0.5)
    await reader.close()


async def test_followers_by_day_are_those_of_the_query_and_no_day_is_missing(
    clickhouse: ClickHouse, clickhouse_url: str
) -> None:
    settings = Settings(clickhouse_url=clickhouse_url, clickhouse_database=clickhouse.database)
    reader = InsightReader(settings, lambda: 1)
    midnight = int(START.replace(hour=0).timestamp() * 1000)
    rows = await clickhouse.query(QUERIES["5"], {"person": ADA})
    for day, gained, lost, followers in rows:
        since = midnight + (day - DAY_0) // timedelta(milliseconds=1)
        assert await reader.growth(ADA, since, since + 86_400_000) == (followers, gained, lost)
    found = await reader.days(ADA, midnight - 86_400_000, midnight + 3 * 86_400_000)
    assert [tuple(one) for one in found] == [(DAY_0 - DAY, 0, 0, 0), *rows, (DAY_0 + 2 * DAY, 0, 0, 1)]
    later = await reader.days(ADA, midnight + 86_400_000, midnight + 3 * 86_400_000)
    assert [tuple(one) for one in later] == [rows[1], (DAY_0 + 2 * DAY, 0, 0, 1)]
    assert [tuple(one) for one in await reader.days(ADA, midnight, midnight + 1)] == [(DAY_0, 0, 0, 0)]
    await reader.close()


async def test_there_are_sixteen_and_each_is_tested() -> None:
    assert list(QUERIES) == [str(number) for number in range(1, 17)] == [*EXPECTED]
