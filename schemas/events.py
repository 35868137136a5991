"""The events, one class for each record of the ``*.avsc`` files beside this module.

An event says in the past tense what happened to one aggregate. It carries what every fold over it needs, so
that no projection has to read another view. ``tests/schemas`` holds these classes and the Avro files equal.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Source(msgspec.Struct, frozen=True, gc=False):
    """The record an emitted event came from; ``n`` numbers the events that one record caused."""

    topic: str
    partition: int
    offset: int
    n: int


class Rendition(msgspec.Struct, frozen=True, gc=False):
    """One stored size of a picture. ``name`` is the nominal bound in pixels; ``key`` its place in the object store."""

    name: int
    width: int
    height: int
    key: str
    bytes: int


class RenderedMedia(msgspec.Struct, frozen=True):
    """A picture with all its renditions; ``width`` and ``height`` are those of the upright original, in pixels."""

    media_id: int
    width: int
    height: int
    blurhash: str
    average_color: str
    renditions: list[Rendition]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events carry. ``at`` is event time in ms since 1970, never later than the broker's."""

    TOPIC: ClassVar[str]
    KEY: ClassVar[str]
    """Name of the field whose value is the record's key."""

    event_id: int
    at: int
    actor_id: int
    trace_id: str = ""

    @property
    def key(self) -> bytes:
        """The record's key: the aggregate's id as decimal digits."""
        return b"%d" % getattr(self, self.KEY)


class AccountRegistered(Event, frozen=True, kw_only=True):
    """A person opened an account. Personal fields are sealed under the person's key."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    username: bytes
    name: bytes


class ProfileChanged(Event, frozen=True, kw_only=True):
    """A person changed their profile; carries the whole of it."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    name: bytes
    bio: bytes


class Followed(Event, frozen=True, kw_only=True):
    """``follower_id`` began to follow ``followee_id``."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int


class Unfollowed(Event, frozen=True, kw_only=True):
    """``follower_id`` ceased to follow ``followee_id``."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int


class UploadCompleted(Event, frozen=True, kw_only=True):
    """An original stands in the object store at ``original_key``. ``sha256`` is hexadecimal, ``size`` in bytes."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    original_key: str
    content_type: str
    size: int
    sha256: str


class RenditionsReady(Event, frozen=True, kw_only=True):
    """Every rendition of a picture stands in the object store."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    media: RenderedMedia
    source: Source


class MediaRejected(Event, frozen=True, kw_only=True):
    """A file cannot become a picture. ``code`` is stable for machines, ``reason`` a sentence for the person."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    code: str
    reason: str
    source: Source


class PostSubmitted(Event, frozen=True, kw_only=True):
    """A person asked for a post; it is published once all its media are ready. ``caption`` is sealed."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    media_ids: list[int]
    caption: bytes


class PostPublished(Event, frozen=True, kw_only=True):
    """All renditions of a post exist: from here on it is in feeds. Emitted at least once for a post."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    media: list[RenderedMedia]
    source: Source


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
    """The caption changed to ``caption`` (sealed)."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int
    caption: bytes


class PostDeleted(Event, frozen=True, kw_only=True):
    """A post is gone for good, whatever else the log says of it."""

    TOPIC = "posts"
    KEY = "author_id"
    post_id: int
    author_id: int


class PostLiked(Event, frozen=True, kw_only=True):
    """The actor likes a post. Again, or one's own post: as good as any."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int


class PostUnliked(Event, frozen=True, kw_only=True):
    """The actor no longer likes a post, whether or not they did."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int


class UploadFailed(Event, frozen=True, kw_only=True):
    """A notice to ``recipient_id``: their file was refused. ``post_id`` is 0 where no post waited for it."""

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    media_id: int
    post_id: int
    code: str
    reason: str
    source: Source


EVENTS: tuple[type[Event], ...] = (
    AccountRegistered,
    ProfileChanged,
    Followed,
    Unfollowed,
    UploadCompleted,
    RenditionsReady,
    MediaRejected,
    PostSubmitted,
    PostPublished,
    PostRejected,
    PostEdited,
    PostDeleted,
    PostLiked,
    PostUnliked,
    UploadFailed,
)
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(event.TOPIC for event in EVENTS))
"""The source topics and ``notifications``, in the order in which provisioning makes them."""
