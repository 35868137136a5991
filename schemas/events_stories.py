"""The events of the topic ``stories``: stories, who saw them and what they said to them, and highlights.

All stand under the author's key, so that what is said of one story is in one order.
"""

from __future__ import annotations

import msgspec

from schemas.event import Event, RenderedMedia, Source


class Sticker(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that lies on a story's picture. ``content`` (whom it names, which tag or place, what it says) is
    sealed."""

    kind: str
    x: int
    y: int
    turn: int = 0
    size: int = 1000
    content: bytes


class StorySubmitted(Event, frozen=True, kw_only=True):
    """A person asked for a story; it is published once its picture is ready."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int
    media_id: int
    stickers: list[Sticker] = []
    music: str = ""


class StoryPublished(Event, frozen=True, kw_only=True):
    """All renditions of a story's picture exist: it is seen from here on for 24 hours of event time, and no longer.
    Emitted at least once for a story."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int
    media: RenderedMedia
    stickers: list[Sticker] = []
    music: str = ""
    source: Source


class StoryRejected(Event, frozen=True, kw_only=True):
    """A story can never be published, since its picture was rejected."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int
    media_id: int
    code: str
    reason: str
    source: Source


class StoryDeleted(Event, frozen=True, kw_only=True):
    """A story is gone for good, out of every highlight too, whatever else the log says of it."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int


class StoryViewed(Event, frozen=True, kw_only=True):
    """The actor saw a story. Again: as good as once."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int
    watched_ms: int = 0
    completed: bool = False


class StoryViewWithdrawn(Event, frozen=True, kw_only=True):
    """The actor is no longer counted among those who saw a story, whether or not they were."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int


class StoryReacted(Event, frozen=True, kw_only=True):
    """The actor answers a story with an emoji, in place of any before."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int
    reaction: str


class StoryReactionWithdrawn(Event, frozen=True, kw_only=True):
    """The actor takes their reaction to a story back, whether or not there was one."""

    TOPIC = "stories"
    KEY = "author_id"
    story_id: int
    author_id: int


class HighlightMade(Event, frozen=True, kw_only=True):
    """A person made a highlight: a named collection of their own stories, which outlive their 24 hours in it. ``name``
    is sealed."""

    TOPIC = "stories"
    KEY = "author_id"
    highlight_id: int
    author_id: int
    name: bytes


class HighlightRenamed(Event, frozen=True, kw_only=True):
    """A highlight has another name. ``name`` is sealed."""

    TOPIC = "stories"
    KEY = "author_id"
    highlight_id: int
    author_id: int
    name: bytes


class HighlightDeleted(Event, frozen=True, kw_only=True):
    """A highlight is gone for good; the stories in it are not deleted by that."""

    TOPIC = "stories"
    KEY = "author_id"
    highlight_id: int
    author_id: int


class StoryHighlighted(Event, frozen=True, kw_only=True):
    """A story stands in one of its author's highlights from here on, with all that is needed to show it."""

    TOPIC = "stories"
    KEY = "author_id"
    highlight_id: int
    story_id: int
    author_id: int
    published_at: int
    media: RenderedMedia
    stickers: list[Sticker] = []
    music: str = ""


class StoryUnhighlighted(Event, frozen=True, kw_only=True):
    """A story no longer stands in a highlight, whether or not it did."""

    TOPIC = "stories"
    KEY = "author_id"
    highlight_id: int
    story_id: int
    author_id: int
