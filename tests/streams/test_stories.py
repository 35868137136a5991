"""Stories, who sees them, and trays, on any batching and any interleaving that keeps each author's order."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    Event,
    Followed,
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    RenderedMedia,
    Source,
    StoryDeleted,
    StoryHighlighted,
    StoryPublished,
    StoryReacted,
    StoryReactionWithdrawn,
    StoryRejected,
    StorySubmitted,
    StoryUnhighlighted,
    StoryViewed,
    StoryViewWithdrawn,
)
from streams.home_feed import FanOut, Follow, Withdraw
from streams.records import Record, TopicPartition
from streams.stories import DELETED, LIFE_MS, PUBLISHED, REJECTED, STORIES, SUBMITTED
from streams.story_tray import STORY_TRAY, Told, tray
from streams.story_views import REACTED, REACTION_WEIGHT, SAW, STORY_VIEWS, closeness
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables

SOURCE = Source("media", 0, 0, 0)
AUTHORS = st.integers(1, 2)
NUMBERS = st.integers(1, 2)
TIMES = st.integers(0, 9)


def media(number: int) -> RenderedMedia:
    return RenderedMedia(number, 1, 1, "", "", [])


def base(author: int, at: int, actor: int = 0) -> dict[str, Any]:
    return {"event_id": 1, "at": at, "actor_id": actor or author, "author_id": author}


def story(kind: str, author: int, number: int, at: int) -> Event:
    """What happens to one of an author's stories; its id is of nobody else's."""
    said: dict[str, Any] = {**base(author, at), "story_id": 10 * author + number}
    match kind:
        case "submitted":
            return StorySubmitted(**said, media_id=number, music="m")
        case "published":
            return StoryPublished(**said, media=media(at), source=SOURCE)
        case "rejected":
            return StoryRejected(**said, media_id=number, code="c", reason="r", source=SOURCE)
    return StoryDeleted(**said)


def highlight(kind: str, author: int, number: int, at: int, of: int) -> Event:
    said: dict[str, Any] = {**base(author, at), "highlight_id": 100 * author + number}
    kept: dict[str, Any] = {**said, "story_id": 10 * author + of}
    match kind:
        case "made":
            return HighlightMade(**said, name=b"%d" % at)
        case "renamed":
            return HighlightRenamed(**said, name=b"%d" % at)
        case "deleted":
            return HighlightDeleted(**said)
        case "kept":
            return StoryHighlighted(**kept, published_at=at, media=media(at))
    return StoryUnhighlighted(**kept)


stories = st.builds(
    story, st.sampled_from(["submitted", "published", "published", "rejected", "deleted"]), AUTHORS, NUMBERS, TIMES
)
highlights = st.builds(
    highlight, st.sampled_from(["made", "renamed", "deleted", "kept", "kept", "out"]), AUTHORS, NUMBERS, TIMES, NUMBERS
)


def read(tables: MemoryTables) -> dict[str, Any]:
    """As a reader at the beginning of time, for whom everything is still to end."""
    return {
        "said": {(r["story_id"], r["said"]): (r["author_id"], r["at"]) for r in tables.rows("stories")},
        "ends": {(r["story_id"], r["said"]): r["expires_at"] for r in tables.rows("stories") if "expires_at" in r},
        "of": {(r["author_id"], r["story_id"]): r["expires_at"] for r in tables.rows("user_stories")},
        "highlights": {
            row["highlight_id"]: (row["name"], row["made_at"])
            for row in tables.rows("highlights")
            if not row.get("deleted") and "made_at" in row
        },
        "kept": {(r["story_id"], r["highlight_id"]): r["published_at"] for r in tables.rows("kept_stories")},
        "listed": {(r["highlight_id"], r["story_id"]): r["added_at"] for r in tables.rows("highlight_stories")},
    }


@at_leisure
@given(st.lists(stories | highlights, max_size=25), st.randoms(use_true_random=False))
def test_laws_of_stories(events: list[Event], rng: random.Random) -> None:
    """Of each kind of event the last one is told since the deletion, a row of its own, which has no end; of what stands
    in a highlight the last in the log wins."""
    said: dict[tuple[int, int], tuple[int, int]] = {}
    of: dict[tuple[int, int], int] = {}
    names: dict[int, bytes] = {}
    made: dict[int, int] = {}
    gone: set[int] = set()
    kept: dict[tuple[int, int], tuple[int, int]] = {}
    kinds = {StorySubmitted: SUBMITTED, StoryPublished: PUBLISHED, StoryRejected: REJECTED, StoryDeleted: DELETED}
    for event in events:
        match event:
            case StorySubmitted() | StoryPublished() | StoryRejected() | StoryDeleted():
                said[event.story_id, kinds[type(event)]] = (event.author_id, event.at)
                if isinstance(event, StoryDeleted):
                    said = {key: told for key, told in said.items() if key[0] != event.story_id or key[1] == DELETED}
                    of.pop((event.author_id, event.story_id), None)
                if isinstance(event, StoryPublished):
                    of[event.author_id, event.story_id] = event.at + LIFE_MS
            case HighlightMade() | HighlightRenamed():
                names[event.highlight_id] = event.name
                if isinstance(event, HighlightMade):
                    made[event.highlight_id] = event.at
            case HighlightDeleted():
                gone.add(event.highlight_id)
            case StoryHighlighted():
                kept[event.story_id, event.highlight_id] = (event.published_at, event.at)
            case StoryUnhighlighted():
                kept.pop((event.story_id, event.highlight_id), None)
    expected = {
        "said": said,
        "ends": {key: at + LIFE_MS for key, (_, at) in said.items() if key[1] != DELETED},
        "of": of,
        "highlights": {number: (names[number], at) for number, at in made.items() if number not in gone},
        "kept": {key: published for key, (published, _) in kept.items()},
        "listed": {(number, story_id): at for (story_id, number), (_, at) in kept.items()},
    }
    check_laws(STORIES, events, rng, read, expected)


def seeing(kind: type[Any], author: int, number: int, viewer: int, at: int, reaction: str, completed: bool) -> Event:
    said: dict[str, Any] = {**base(author, at, viewer), "story_id": 10 * author + number}
    own: dict[type[Any], dict[str, Any]] = {StoryReacted: {"reaction": reaction}, StoryViewed: {"completed": completed}}
    made: Event = kind(**said, **own.get(kind, {}))
    return made


views = st.builds(
    seeing,
    st.sampled_from([StoryViewed, StoryViewed, StoryReacted, StoryReacted, StoryReactionWithdrawn, StoryViewWithdrawn]),
    AUTHORS,
    NUMBERS,
    st.integers(1, 4),
    TIMES,
    st.sampled_from("ab"),
    st.booleans(),
)


def read_views(tables: MemoryTables) -> dict[str, Any]:
    rows = tables.rows("stories_seen")
    return {
        "viewed": {
            (r["story_id"], r["viewer_id"]): (r["viewed_at"], r.get("completed", False))
            for r in tables.rows("story_views")
        },
        "reactions": {(r["story_id"], r["viewer_id"]): r["reaction"] for r in tables.rows("story_reactions")},
        "seen": {(r["viewer_id"], r["author_id"], r["story_id"], r["kind"]): r["at"] for r in rows},
    }


@at_leisure
@given(st.lists(views, max_size=25), st.randoms(use_true_random=False))
def test_laws_of_story_views(events: list[Event], rng: random.Random) -> None:
    """The last in the log wins, but once seen to its end is seen to its end; and what an author does with their own
    stories is told to nobody."""
    viewed: dict[tuple[int, int], tuple[int, bool]] = {}
    reactions: dict[tuple[int, int], str] = {}
    seen: dict[tuple[int, int, int, int], int] = {}
    for event in events:
        assert isinstance(event, StoryViewed | StoryViewWithdrawn | StoryReacted | StoryReactionWithdrawn)
        if event.actor_id == event.author_id:
            continue
        key, mine = (event.story_id, event.actor_id), (event.actor_id, event.author_id, event.story_id)
        match event:
            case StoryViewed():
                viewed[key] = (event.at, event.completed or viewed.get(key, (0, False))[1])
                seen[*mine, SAW] = event.at
            case StoryViewWithdrawn():
                viewed.pop(key, None)
                seen.pop((*mine, SAW), None)
            case StoryReacted():
                reactions[key] = event.reaction
                seen[*mine, REACTED] = event.at
            case StoryReactionWithdrawn():
                reactions.pop(key, None)
                seen.pop((*mine, REACTED), None)
    check_laws(STORY_VIEWS, events, rng, read_views, {"viewed": viewed, "reactions": reactions, "seen": seen})


def test_a_tray_is_a_feed_of_stories() -> None:
    tp = TopicPartition("stories", 0)
    follow = Followed(event_id=1, at=1, actor_id=2, follower_id=2, followee_id=1)
    events = [story("submitted", 1, 1, 0), story("published", 1, 1, 0), story("deleted", 1, 1, 0), follow]
    records = [Record(tp, offset, 0, event) for offset, event in enumerate(events)]
    writes = STORY_TRAY.project(records)
    assert [type(write) for write in writes] == [FanOut, Withdraw, Follow]
    assert STORY_TRAY.sources == ("stories", "graph")


def test_unseen_comes_first_then_closeness_then_the_newest_and_ties_by_id() -> None:
    told = [Told(10, 1, 100), Told(11, 1, 200), Told(20, 2, 300), Told(30, 3, 250), Told(40, 4, 250), Told(50, 5, 1)]
    seen, close = {10, 20, 11}, {5: 2, 2: 99}
    found = tray(told, seen, close)
    assert [entry.place.author_id for entry in found] == [5, 3, 4, 2, 1]
    assert [one.story_id for one in found[-1].stories] == [10, 11]
    assert tray(reversed(told), seen, close) == found
    assert closeness([SAW, SAW, REACTED]) == 2 + REACTION_WEIGHT
