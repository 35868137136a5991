"""A small history of stories, some of which live now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from schemas.events import (
    Event,
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    RenditionsReady,
    Sticker,
    StoryDeleted,
    StoryHighlighted,
    StoryPublished,
    StoryReacted,
    StoryReactionWithdrawn,
    StorySubmitted,
    StoryUnhighlighted,
    StoryViewed,
)
from schemas.ids import snowflake
from sinks.generations import now_ms
from tests.jobs.test_verify_fold import SOURCE, rendered


@cache
def now() -> int:
    """When it happened, in ms: a moment ago, and the same all through the tests."""
    return now_ms()


def told(people: Sequence[int]) -> list[Event]:
    """Everybody has a story that lives and one that was over before it was written, shows the first and takes it out
    again, and deletes a third; everybody sees the first of everybody and says something to it, one of them no more.
    """
    at, events = now(), list[Event]()
    for n, author in enumerate(people):
        who: dict[str, Any] = {"event_id": snowflake(at, 5, 2), "at": at, "actor_id": author}
        base: dict[str, Any] = {**who, "author_id": author}
        live, over, gone = (snowflake(at, 8, 10 * n + number) for number in range(3))
        sticker = Sticker(kind="text", x=1, y=2, content=b"s")
        for story, then in ((live, at), (over, at - 25 * 3_600_000), (gone, at)):
            picture = rendered(story + 1000)
            made: dict[str, Any] = {**base, "at": then, "story_id": story, "stickers": [sticker], "music": "m"}
            events += [
                RenditionsReady(**who, media_id=picture.media_id, owner_id=author, media=picture, source=SOURCE),
                StorySubmitted(**made, media_id=picture.media_id),
                StoryPublished(**made, media=picture, source=SOURCE),
            ]
        shown: dict[str, Any] = {"media": rendered(live + 1000), "stickers": [sticker], "published_at": at}
        kept = {**base, "highlight_id": live + 2000}
        events += [
            StoryDeleted(**base, story_id=gone),
            HighlightMade(**kept, name=b"h"),
            HighlightRenamed(**kept, name=b"i"),
            StoryHighlighted(**kept, **shown, story_id=live),
            StoryHighlighted(**kept, **shown, story_id=over),
            StoryUnhighlighted(**kept, story_id=over),
            HighlightMade(**{**base, "highlight_id": live + 3000}, name=b"h"),
            HighlightDeleted(**{**base, "highlight_id": live + 3000}),
        ]
        for fan in people:
            seen = {**base, "actor_id": fan, "story_id": live}
            # A shorter look after one to the end takes nothing back.
            looks = [StoryViewed(**seen, completed=True), StoryViewed(**seen)]
            events += [*looks, StoryReacted(**seen, reaction="!")]
        events.append(StoryReactionWithdrawn(**{**base, "actor_id": people[0]}, story_id=live))
    return events
