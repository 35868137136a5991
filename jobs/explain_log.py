"""What ``explain-feed`` asks of the log itself, where the views do not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from jobs.backup_log import LogSource
from schemas.codec import Undecodable, decode
from schemas.events import (
    Followed,
    FollowerRemoved,
    PostDeleted,
    PostPublished,
    PostRejected,
    PostSubmitted,
    Unfollowed,
)
from sinks.settings import Settings
from streams.records import TopicPartition
from streams.views import Mark


def last_word(settings: Settings, follower: int, tp: TopicPartition, followee: int) -> tuple[bool, Mark] | None:
    """The log's last word on whether ``follower`` follows ``followee``, and where it stands."""
    found: tuple[bool, Mark] | None = None
    key = b"%d" % followee
    for offset, event in _events(settings, tp, key):
        if isinstance(event, Followed | Unfollowed | FollowerRemoved) and event.follower_id == follower:
            found = isinstance(event, Followed), Mark(tp, offset)
    return found


def post_in_log(settings: Settings, post_id: int) -> tuple[int, Mark] | None:
    """Who submitted or published the post, or deleted it, and where that stands first."""
    for partition in range(settings.partitions):
        tp = TopicPartition("posts", partition)
        for offset, event in _events(settings, tp, None):
            if (
                isinstance(event, PostSubmitted | PostPublished | PostRejected | PostDeleted)
                and event.post_id == post_id
            ):
                return event.author_id, Mark(tp, offset)
    return None


def _events(settings: Settings, tp: TopicPartition, key: bytes | None) -> Iterator[tuple[int, Any]]:
    """The events of one partition (of one key of it), with their offsets."""
    with closing(LogSource(settings)) as source:
        start, end = source.starts([tp.topic])[tp], source.ends([tp.topic])[tp]
        with closing(source.read(tp, start, end)) as records:
            for kept in records:
                if key is None or kept.key == key:
                    try:
                        yield kept.offset, decode(kept.value)
                    except Undecodable:
                        continue
