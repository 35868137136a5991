"""Stories as the log says them, folded in plain Python, and the views of them compared with that.

What ends is compared only while it has some time to go: what is about to end may be gone from one side and not from
the other, and nobody is shown what has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from jobs.verify_differences import Differences, compare
from schemas.events import (
    Event,
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    RenderedMedia,
    Sticker,
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
from sinks.cassandra import Cassandra
from sinks.generations import now_ms
from sinks.scans import COLUMNS, media_of, scan_table
from sinks.view_tables import TABLES

DAY_MS = 24 * 60 * 60 * 1000
SOON_MS = 120_000
"""Longer than a comparison takes."""
Key = tuple[int, ...]
Values = tuple[object, ...]
_stickers = msgspec.json.Decoder(list[Sticker]).decode


@dataclass(slots=True)
class Story:
    """A story, whatever has been said of it: each event of a kind that was said last."""

    author_id: int
    submitted: StorySubmitted | None = None
    published: StoryPublished | None = None
    rejected: StoryRejected | None = None
    deleted: StoryDeleted | None = None


@dataclass
class StoryFold:
    """The state that the log gives."""

    stories: dict[int, Story] = field(default_factory=dict)
    views: dict[tuple[int, int], StoryViewed] = field(default_factory=dict)
    """(story, viewer) → the last time that they said so; not of one's own stories."""
    completed: dict[tuple[int, int], int] = field(default_factory=dict)
    """(story, viewer) → when they last saw it to its end."""
    reactions: dict[tuple[int, int], StoryReacted] = field(default_factory=dict)
    """(story, person) → what stands."""
    highlights: dict[tuple[int, int], list[Any]] = field(default_factory=dict)
    """(author, highlight) → name, when it was made, whether it is gone."""
    kept: dict[tuple[int, int], StoryHighlighted] = field(default_factory=dict)
    """(story, highlight) → what stands there."""

    def take(self, event: Event) -> bool:
        """Fold one event; whether it is one of these."""
        match event:
            case StorySubmitted():
                self._story(event.story_id, event.author_id).submitted = event
            case StoryPublished():
                self._story(event.story_id, event.author_id).published = event
            case StoryRejected():
                self._story(event.story_id, event.author_id).rejected = event
            case StoryDeleted():
                story = self._story(event.story_id, event.author_id)
                story.submitted = story.published = story.rejected = None
                story.deleted = event
            case StoryViewed():
                if event.actor_id != event.author_id:
                    self.views[event.story_id, event.actor_id] = event
                    if event.completed:
                        self.completed[event.story_id, event.actor_id] = event.at
            case StoryViewWithdrawn():
                self.views.pop((event.story_id, event.actor_id), None)
                self.completed.pop((event.story_id, event.actor_id), None)
            case StoryReacted():
                if event.actor_id != event.author_id:
                    self.reactions[event.story_id, event.actor_id] = event
            case StoryReactionWithdrawn():
                self.reactions.pop((event.story_id, event.actor_id), None)
            case HighlightMade():
                self._highlight(event)[:2] = event.name, event.at
            case HighlightRenamed():
                self._highlight(event)[0] = event.name
            case HighlightDeleted():
                self._highlight(event)[::2] = None, True
            case StoryHighlighted():
                self.kept[event.story_id, event.highlight_id] = event
            case StoryUnhighlighted():
                self.kept.pop((event.story_id, event.highlight_id), None)
            case _:
                return False
        return True

    def _story(self, story_id: int, author_id: int) -> Story:
        return self.stories.setdefault(story_id, Story(author_id))

    def _highlight(self, event: HighlightMade | HighlightRenamed | HighlightDeleted) -> list[Any]:
        return self.highlights.setdefault((event.author_id, event.highlight_id), [None, None, False])


async def stories(fold: StoryFold, cassandra: Cassandra, generation: int) -> Differences:
    """What is said of each story, whose they are, and highlights."""
    differences, horizon = Differences(), now_ms() + SOON_MS

    async def table(name: str, expected: dict[Key, Values], values: Callable[[Any], Values] | None = None) -> None:
        rows = _living(cassandra, generation, name, horizon, values)
        await compare(differences, name, COLUMNS[name], expected, rows)

    expected: dict[Key, Values] = {}
    of_author: dict[Key, Values] = {}
    for story_id, story in fold.stories.items():
        for said, event in enumerate((story.submitted, story.published, story.rejected)):
            if event is None or event.at + DAY_MS <= horizon:
                continue
            base = (event.author_id, event.at, event.at + DAY_MS)
            match event:
                case StorySubmitted():
                    expected[story_id, said] = (*base, event.media_id, None, None, None, None, None)
                case StoryPublished():
                    shown = (event.media, event.stickers, event.music)
                    expected[story_id, said] = (*base, event.media.media_id, *shown, None, None)
                    of_author[event.author_id, story_id] = (event.at, event.at + DAY_MS)
                case StoryRejected():
                    expected[story_id, said] = (*base, event.media_id, None, None, None, event.code, event.reason)
        if story.deleted is not None:
            expected[story_id, 3] = (story.author_id, story.deleted.at, *(None,) * 7)
    await table("stories", expected, _story_values)
    await table("user_stories", of_author)
    await table(
        "highlights",
        {key: tuple(said) for key, said in fold.highlights.items()},
        lambda row: (row.name, row.made_at, bool(row.deleted)),
    )
    kept = fold.kept.values()
    await table("highlight_stories", {(e.author_id, e.highlight_id, e.story_id): (e.at,) for e in kept})
    await table(
        "kept_stories",
        {(e.story_id, e.highlight_id): (e.author_id, e.published_at, e.media, e.stickers, e.music) for e in kept},
        lambda row: (row.author_id, row.published_at, media_of(row.media), _stickers(row.stickers), row.music),
    )
    return differences


async def story_views(fold: StoryFold, cassandra: Cassandra, generation: int) -> Differences:
    """Viewers and reactions by story, and what each viewer has seen."""
    differences, horizon = Differences(), now_ms() + SOON_MS

    async def table(
        name: str, expected: Iterable[tuple[Key, Values]], values: Callable[[Any], Values] | None = None
    ) -> None:
        living = {key: values for key, values in expected if values[-1] > horizon}  # type: ignore[operator]
        await compare(differences, name, COLUMNS[name], living, _living(cassandra, generation, name, horizon, values))

    views, said = fold.views, fold.reactions
    ends = {key: at + 2 * DAY_MS for key, at in fold.completed.items()}

    def completed(key: tuple[int, int]) -> bool:
        return ends.get(key, 0) > horizon

    def view_values(row: Any) -> Values:
        # That somebody saw it to its end is forgotten two days later, also where the rest of the row goes on.
        key = (row.story_id, row.viewer_id)
        soon = horizon - 2 * SOON_MS < ends.get(key, 0) <= horizon
        return row.viewed_at, completed(key) if soon else bool(row.completed), row.expires_at

    expected = ((key, (e.at, completed(key), e.at + 2 * DAY_MS)) for key, e in views.items())
    await table("story_views", expected, view_values)
    await table("story_reactions", ((key, (e.reaction, e.at, e.at + 2 * DAY_MS)) for key, e in said.items()))
    seen: dict[Key, Values] = {}
    both: tuple[Mapping[tuple[int, int], StoryViewed | StoryReacted], ...] = (views, said)
    for kind, events in enumerate(both):
        for (story_id, viewer_id), event in events.items():
            key = (viewer_id, event.author_id, story_id, kind)
            seen[key] = (event.at, event.at + 7 * DAY_MS)
    await table("stories_seen", seen.items())
    return differences


def _story_values(row: Any) -> Values:
    stickers = None if row.stickers is None else _stickers(row.stickers)
    shown: tuple[RenderedMedia | None, object, object] = (media_of(row.media), stickers, row.music)
    return (row.author_id, row.at, row.expires_at, row.media_id, *shown, row.code, row.reason)


async def _living(
    cassandra: Cassandra,
    generation: int,
    table: str,
    horizon: int,
    values: Callable[[Any], Values] | None = None,
) -> AsyncIterator[tuple[Key, Values]]:
    width, expires = len(TABLES[table].key), TABLES[table].expires
    async for row in scan_table(cassandra, table, generation):
        if expires and row.expires_at is not None and row.expires_at <= horizon:
            continue
        yield tuple(row[:width]), tuple(row[width:]) if values is None else values(row)
