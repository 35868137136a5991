"""Histories of posts and media: every order that a log may hold, sensible or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from schemas.events import (
    Event,
    MediaPurged,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    RenderedMedia,
    RenditionsReady,
    Source,
    UploadCompleted,
)

Kind = Callable[..., Event]
"""A class of events."""
AUTHORS = 3
SOURCE = Source(topic="media", partition=0, offset=0, n=0)


def picture(media_id: int, width: int = 1080) -> RenderedMedia:
    """A picture without renditions."""
    return RenderedMedia(media_id=media_id, width=width, height=2, blurhash="L", average_color="#aabbcc", renditions=[])


def author_of(post_id: int) -> int:
    """A post has one author, so that its events stand in one partition."""
    return post_id % AUTHORS + 1


def post_event(kind: Kind, post_id: int, at: int, word: str) -> Event:
    """An event of a post, with ``word`` and ``at`` in all that may vary."""
    said = {"caption": word.encode(), "mentions": [at], "tagged": [at, 1], "hashtags": [word], "place": word}
    varying: dict[Kind, dict[str, Any]] = {
        PostSubmitted: {"media_ids": [at], **said},
        PostPublished: {"media": [picture(at)], "source": SOURCE},
        PostRejected: {"media_id": at, "code": word, "reason": word, "source": SOURCE},
        PostEdited: said,
        PostDeleted: {},
    }
    author = author_of(post_id)
    return kind(event_id=1, at=at, actor_id=author, post_id=post_id, author_id=author, **varying[kind])


def media_event(kind: Kind, media_id: int, at: int, word: str) -> Event:
    """An event of a media, with ``word`` and ``at`` in all that may vary."""
    varying: dict[Kind, dict[str, Any]] = {
        UploadCompleted: {"original_key": word, "content_type": "image/jpeg", "size": at, "sha256": word},
        RenditionsReady: {"media": picture(media_id, at), "source": SOURCE},
        MediaRejected: {"code": word, "reason": word, "source": SOURCE},
        MediaPurged: {},
    }
    return kind(event_id=1, at=at, actor_id=7, media_id=media_id, owner_id=7, **varying[kind])


words = st.sampled_from(["a", "b", "c"])
post_events = st.builds(
    post_event,
    st.sampled_from([PostSubmitted, PostPublished, PostRejected, PostEdited, PostDeleted]),
    st.integers(1, 6),
    st.integers(1, 50),
    words,
)
media_events = st.builds(
    media_event,
    st.sampled_from([UploadCompleted, RenditionsReady, MediaRejected, MediaPurged]),
    st.integers(1, 5),
    st.integers(1, 50),
    words,
)
