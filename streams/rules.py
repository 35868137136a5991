"""Who may see what: asked at read time, on every path, whatever the views hold at that moment."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, Protocol

Status = Literal["processing", "published", "rejected"]


class Post(Protocol):
    """What the rules look at."""

    @property
    def author_id(self) -> int: ...
    @property
    def published_at(self) -> int | None: ...
    @property
    def rejected_code(self) -> str | None: ...
    @property
    def deleted(self) -> bool: ...


def status_of(post: Post) -> Status:
    """Where a post that is not deleted stands."""
    if post.published_at is not None:
        return "published"
    return "processing" if post.rejected_code is None else "rejected"


def is_public(post: Post) -> bool:
    """Whether a list may show the post to anybody: it is published and not deleted."""
    return post.published_at is not None and not post.deleted


def may_open(post: Post, viewer_id: int | None) -> bool:
    """Whether ``viewer_id`` (None for a stranger) may open the post's page: its author also before it is published."""
    return is_public(post) or (post.author_id == viewer_id and not post.deleted)


def in_feed(post: Post, followed: Container[int]) -> bool:
    """Whether the feed of somebody who follows ``followed`` may show the post."""
    return is_public(post) and post.author_id in followed
