"""The events of the topic ``engagement``: what people do with a post.

``hashtags`` and ``place`` are the post's as whoever said the event saw it, so that what is told of tags and places
reads no other view; what the saga says leaves them empty.
"""

from __future__ import annotations

from schemas.event import Event


class PostLiked(Event, frozen=True, kw_only=True):
    """The actor likes a post. Again, or one's own post: as good as any."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int
    hashtags: list[str] = []
    place: str = ""


class PostUnliked(Event, frozen=True, kw_only=True):
    """The actor no longer likes a post, whether or not they did."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int
    source: str = ""
    hashtags: list[str] = []
    place: str = ""


class CommentAdded(Event, frozen=True, kw_only=True):
    """The actor wrote a comment under a post, or a reply to one of its comments. ``text`` is sealed."""

    TOPIC = "engagement"
    KEY = "post_id"
    comment_id: int
    post_id: int
    author_id: int
    parent_id: int = 0
    parent_author_id: int = 0
    text: bytes
    mentions: list[int] = []
    hashtags: list[str] = []
    spam: int = 0
    post_hashtags: list[str] = []
    place: str = ""


class CommentDeleted(Event, frozen=True, kw_only=True):
    """A comment is gone for good, and with it its replies, whatever else the log says of them.

    ``mentions`` are the people whom it or one of its replies names, and ``replied`` whether it has any, both as far as
    the writer looked: they are told at once that it is gone, and readers ask anyway.
    """

    TOPIC = "engagement"
    KEY = "post_id"
    comment_id: int
    post_id: int
    author_id: int
    parent_id: int = 0
    commenter_id: int
    hashtags: list[str] = []
    place: str = ""
    parent_author_id: int = 0
    mentions: list[int] = []
    replied: bool = False


class CommentPinned(Event, frozen=True, kw_only=True):
    """The post's author wants this comment to stand above the others."""

    TOPIC = "engagement"
    KEY = "post_id"
    comment_id: int
    post_id: int
    author_id: int


class CommentUnpinned(Event, frozen=True, kw_only=True):
    """A comment stands where it stood before it was pinned, whether or not it was."""

    TOPIC = "engagement"
    KEY = "post_id"
    comment_id: int
    post_id: int
    author_id: int


class CommentsDisabled(Event, frozen=True, kw_only=True):
    """No comments may be added to a post from here on; those that are there stay."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int


class CommentsEnabled(Event, frozen=True, kw_only=True):
    """Comments may be added to a post, whether or not they could before."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int


class PostSaved(Event, frozen=True, kw_only=True):
    """The actor keeps a post for themselves: in a collection of theirs, or just so."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int
    collection_id: int = 0
    hashtags: list[str] = []
    place: str = ""


class PostUnsaved(Event, frozen=True, kw_only=True):
    """The actor no longer keeps a post in a collection; or, without one, at all."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int
    collection_id: int = 0
    hashtags: list[str] = []
    place: str = ""


class PostShared(Event, frozen=True, kw_only=True):
    """The actor passed a post on."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int
    hashtags: list[str] = []
    place: str = ""


class PostUnshared(Event, frozen=True, kw_only=True):
    """The actor is no longer counted among those who passed a post on, whether or not they were."""

    TOPIC = "engagement"
    KEY = "post_id"
    post_id: int
    author_id: int


class CollectionMade(Event, frozen=True, kw_only=True):
    """A person made a list of saved posts, for themselves. ``name`` is sealed."""

    TOPIC = "engagement"
    KEY = "collection_id"
    collection_id: int
    owner_id: int
    name: bytes


class CollectionRenamed(Event, frozen=True, kw_only=True):
    """A collection goes by another name from here on. ``name`` is sealed."""

    TOPIC = "engagement"
    KEY = "collection_id"
    collection_id: int
    owner_id: int
    name: bytes


class CollectionDeleted(Event, frozen=True, kw_only=True):
    """A collection is gone for good; the posts in it stay saved."""

    TOPIC = "engagement"
    KEY = "collection_id"
    collection_id: int
    owner_id: int
