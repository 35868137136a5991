"""The events of the topic ``posts``: what became of a post."""

from __future__ import annotations

from schemas.event import Event, RenderedMedia, Source


class PostSubmitted(Event, frozen=True, kw_only=True):
    """A person asked for a post; it is published once all its media are ready. ``caption`` is sealed."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    media_ids: list[int]
    caption: bytes
    mentions: list[int] = []
    tagged: list[int] = []
    hashtags: list[str] = []
    place: str = ""


class PostPublished(Event, frozen=True, kw_only=True):
    """All renditions of a post exist: from here on it is in feeds. Emitted at least once for a post."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    media: list[RenderedMedia]
    source: Source
    mentions: list[int] = []
    tagged: list[int] = []
    hashtags: list[str] = []
    place: str = ""


class PostRejected(Event, frozen=True, kw_only=True):
    """A post can never be published, since one of its media was rejected."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    media_id: int
    code: str
    reason: str
    source: Source


class PostEdited(Event, frozen=True, kw_only=True):
    """The caption changed to ``caption`` (sealed), and with it what is found in it; ``tagged`` and ``place`` to
    what they are now.

    Whoever is tagged is not told of a mention as well. Who is told of one, or no longer, against what was said last
    before, as far as the writer knew: ``newly_mentioned``, ``newly_tagged``, ``unmentioned``, ``untagged``.
    """

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    caption: bytes
    mentions: list[int] = []
    tagged: list[int] = []
    hashtags: list[str] = []
    place: str = ""
    newly_mentioned: list[int] = []
    newly_tagged: list[int] = []
    unmentioned: list[int] = []
    untagged: list[int] = []


class PostDeleted(Event, frozen=True, kw_only=True):
    """A post is gone for good, whatever else the log says of it."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
