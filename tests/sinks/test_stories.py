"""What ends: rows with what is left of their time, and readers who look at the clock themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from schemas.events import (
    Event,
    HighlightMade,
    RenderedMedia,
    Source,
    StoryDeleted,
    StoryHighlighted,
    StoryPublished,
    StoryReacted,
    StorySubmitted,
    StoryViewed,
    StoryViewWithdrawn,
)
from sinks.cassandra import Cassandra
from sinks.stories import StoryReader
from sinks.story_views import StoryViewReader
from sinks.tables import LONGEST_TTL, TableSink
from streams.records import Record, Span, TopicPartition
from streams.stories import LIFE_MS, STORIES
from streams.story_tray import Told
from streams.story_views import SEEN_MS, STORY_VIEWS
from streams.views import View

AT = 1_800_000_000_000
TP = TopicPartition("stories", 0)
ADA, BOB, STORY, HIGHLIGHT = (10**18 + n for n in range(4))
BASE: dict[str, Any] = {"event_id": ADA, "at": AT, "actor_id": ADA, "author_id": ADA}
MEDIA = RenderedMedia(STORY, 1, 1, "", "", [])
SUBMITTED = StorySubmitted(**{**BASE, "at": AT - 1000}, story_id=STORY, media_id=STORY)
PUBLISHED = StoryPublished(**BASE, story_id=STORY, media=MEDIA, source=Source("media", 0, 0, 0))
DELETED = StoryDeleted(**BASE, story_id=STORY)


@pytest.fixture(autouse=True)
async def _nothing_left(cassandra: Cassandra) -> None:
    """What a test deletes stays deleted for the next one's rows, which say the same at the same offsets."""
    for table in ("stories_1", "user_stories_1"):
        await cassandra.change_schema(f"TRUNCATE {table}")


async def apply(cassandra: Cassandra, now: int, events: Sequence[Event], view: View[Any] = STORIES) -> None:
    """Apply ``events``, the whole log, as somebody whose clock says ``now``, to empty tables."""
    await cassandra.change_schema("TRUNCATE fences")
    records = [Record(TP, offset, AT, event) for offset, event in enumerate(events)]
    sink = TableSink(cassandra, view.name, 1, {"stories": "id"}, clock=lambda: now)
    await sink.apply(view.project(records), {TP: Span(-1, len(events) - 1)})


async def left(cassandra: Cassandra) -> dict[int, int | None]:
    """What is left of the rows of the story, in seconds, by what they say."""
    rows = await cassandra.execute("SELECT said, TTL(at) AS left FROM stories_1 WHERE story_id = ?", (STORY,))
    return {row.said: row.left for row in rows}


async def test_a_row_lives_for_what_is_left_and_its_end_is_the_event_s(cassandra: Cassandra) -> None:
    await apply(cassandra, AT + 3_600_000, [SUBMITTED, PUBLISHED])
    found = await left(cassandra)
    assert found[1] is not None and 82_700 < found[1] <= 82_800
    await apply(cassandra, AT + LIFE_MS - 100_000, [SUBMITTED, PUBLISHED])  # again, by somebody who is late
    rows = await cassandra.execute("SELECT expires_at FROM stories_1 WHERE story_id = ? AND said = 1", (STORY,))
    assert rows[0].expires_at == AT + LIFE_MS
    await apply(cassandra, AT + LIFE_MS - 100_000, [SUBMITTED, PUBLISHED, DELETED])
    assert await left(cassandra) == {3: None}, "a deletion has no end, and leaves nothing of what was said before"


async def test_what_is_over_when_it_is_written_is_not_written(cassandra: Cassandra) -> None:
    """As in a replay a day later, which leaves what is deleted, and highlights."""
    kept = StoryHighlighted(**BASE, highlight_id=HIGHLIGHT, story_id=STORY, published_at=AT, media=MEDIA)
    made = HighlightMade(**BASE, highlight_id=HIGHLIGHT, name=b"n")
    late = AT + LIFE_MS + 1000
    await apply(cassandra, late, [SUBMITTED, PUBLISHED, made])
    assert await left(cassandra) == {}
    assert await StoryReader(cassandra).open(STORY, late) is None
    assert await StoryReader(cassandra).of_authors([ADA], AT) == []
    await apply(cassandra, late, [SUBMITTED, PUBLISHED, made, kept])
    shown = await StoryReader(cassandra).open(STORY, late)
    assert shown is not None and (shown.expires_at, shown.published_at, shown.media) == (None, AT, MEDIA)
    await apply(cassandra, late, [SUBMITTED, PUBLISHED, made, kept, DELETED])
    assert await StoryReader(cassandra).highlighted(ADA, HIGHLIGHT) == []
    gone = await StoryReader(cassandra).open(STORY, late)
    assert gone is not None and gone.deleted


async def test_readers_do_not_wait_for_the_store_to_forget(cassandra: Cassandra) -> None:
    seen = StoryViewed(**{**BASE, "actor_id": BOB}, story_id=STORY)
    await apply(cassandra, AT, [SUBMITTED, PUBLISHED])
    await apply(cassandra, AT, [seen], STORY_VIEWS)
    stories, views = StoryReader(cassandra), StoryViewReader(cassandra)
    last = AT + LIFE_MS - 1
    assert await stories.told([STORY], last) == [Told(STORY, ADA, AT)]
    assert await stories.of_authors([ADA], last) == [STORY]
    assert await stories.told([STORY], last + 1) == []
    assert await stories.of_authors([ADA], last + 1) == []
    assert (await left(cassandra))[1] is not None, "the store has not forgotten it"
    assert [one.viewer_id for one in await views.viewers(STORY, 0, 10, last)] == [BOB]
    assert await views.viewers(STORY, 0, 10, AT + 2 * LIFE_MS) == []
    assert (await views.acquaintance(BOB, last)).close == {ADA: 1}
    assert (await views.acquaintance(BOB, AT - 1)).seen == frozenset(), "as it was before"
    assert (await views.acquaintance(BOB, AT + SEEN_MS)).close == {}


async def test_who_saw_a_story_to_its_end_did_so_whatever_they_look_at_later(cassandra: Cassandra) -> None:
    base: dict[str, Any] = {**BASE, "actor_id": BOB, "story_id": STORY + 50}
    looks = [
        StoryViewed(**base | {"at": AT + n}, completed=completed) for n, completed in enumerate((False, True, False))
    ]
    reader = StoryViewReader(cassandra)
    for count, completed in ((1, False), (2, True), (3, True)):
        await apply(cassandra, AT, looks[:count], STORY_VIEWS)
        (viewer,) = await reader.viewers(STORY + 50, 0, 10, AT)
        assert (viewer.viewed_at, viewer.completed) == (AT + count - 1, completed)
    await apply(cassandra, AT, [*looks, StoryViewWithdrawn(**base), looks[0]], STORY_VIEWS)
    (viewer,) = await reader.viewers(STORY + 50, 0, 10, AT)
    assert not viewer.completed, "what was withdrawn does not come back with a later look"


async def test_an_event_from_the_far_future_stops_nobody(cassandra: Cassandra) -> None:
    later = StoryPublished(**{**BASE, "at": 2**62}, story_id=STORY, media=MEDIA, source=Source("media", 0, 0, 0))
    await apply(cassandra, AT, [later])
    found = await left(cassandra)
    assert found[1] is not None and LONGEST_TTL - 100 < found[1] <= LONGEST_TTL


async def test_viewers_go_on_where_a_page_ends(cassandra: Cassandra) -> None:
    """Of those who saw it and those who only said something, none twice and none left out."""
    people = [10**18 + 100 + n for n in range(9)]
    said: list[Event] = []
    for n, person in enumerate(people):
        base = {**BASE, "actor_id": person}
        if n % 3:
            said.append(StoryViewed(**base, story_id=STORY))
        if n % 3 != 1:
            said.append(StoryReacted(**base, story_id=STORY, reaction="!"))
    await apply(cassandra, AT, said, STORY_VIEWS)
    reader, found, after = StoryViewReader(cassandra), list[int](), 0
    while page := await reader.viewers(STORY, after, 2, AT):
        found += [one.viewer_id for one in page]
        after = found[-1]
    assert found == people
