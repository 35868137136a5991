"""The story tray: whose stories stand above whose feed. The home feed's writes, with stories for posts.

What a reader gets depends only on the final graph, the final stories and what time it is. The sink keeps the newest of
them near at hand and knows no time: which of them are over, readers ask of the stories themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.events import Followed, FollowerRemoved, StoryDeleted, StoryPublished, Unfollowed
from streams.home_feed import FanOut, FeedWrite, Withdraw
from streams.home_feed import project as feed_writes
from streams.records import Record
from streams.views import Mark, View


def project(batch: Sequence[Record]) -> list[FeedWrite]:
    """One write for each story that is published or deleted, each follow and each end of a follow."""
    writes: list[FeedWrite] = []
    for record in batch:
        event = record.event
        match event:
            case StoryPublished():
                writes.append(FanOut(Mark(record.tp, record.offset), event.author_id, event.story_id))
            case StoryDeleted():
                writes.append(Withdraw(Mark(record.tp, record.offset), event.author_id, event.story_id))
            case Followed() | Unfollowed() | FollowerRemoved():
                writes += feed_writes([record])
    return writes


class Told(NamedTuple):
    """A story in a tray: ``at`` when it was published, in ms."""

    story_id: int
    author_id: int
    at: int


class Place(NamedTuple):
    """Where an author stands in a tray: whoever has something unseen first, then by closeness, newest, id."""

    all_seen: bool
    distance: int
    """Closeness, negative."""
    age: int
    """When the newest of their stories was published, negative."""
    author_id: int


class Entry(NamedTuple):
    """An author's stories in somebody's tray, the oldest first."""

    place: Place
    stories: tuple[Told, ...]


def tray(stories: Iterable[Told], seen: Collection[int], close: Mapping[int, int]) -> list[Entry]:
    """The entries of one viewer, in their order. ``seen``: ids of stories that the viewer saw; ``close``: closeness by
    author, where there is any."""
    of: dict[int, list[Told]] = {}
    for story in stories:
        of.setdefault(story.author_id, []).append(story)
    entries = []
    for author_id, told in of.items():
        told.sort(key=lambda story: (story.at, story.story_id))
        all_seen = all(story.story_id in seen for story in told)
        entries.append(Entry(Place(all_seen, -close.get(author_id, 0), -told[-1].at, author_id), tuple(told)))
    return sorted(entries)


STORY_TRAY: View[FeedWrite] = View("story_tray", ("stories", "graph"), project)
