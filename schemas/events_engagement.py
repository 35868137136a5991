"""The events of the topic ``engagement``: what people do with a post."""

from __future__ import annotations

from schemas.event import Event


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
