"""The home feed: which posts stand in whose feed.

What a reader gets depends only on the final graph and the final posts: every published, undeleted post of the
authors one follows, newest first. The sink keeps the newest ``FEED_CAP`` of them near at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import Followed, FollowerRemoved, PostDeleted, PostPublished, Unfollowed
from streams.records import Record
from streams.views import Mark, Refused, View


class Follow(NamedTuple):
    """``follower`` follows ``followee`` from here on: backfill what the followee has published."""

    mark: Mark
    follower: int
    followee: int


class Unfollow(NamedTuple):
    """``follower`` no longer follows ``followee``: remove the followee's posts from the feed."""

    mark: Mark
    follower: int
    followee: int


class FanOut(NamedTuple):
    """Put ``post`` on its author's timeline and into every follower's feed. Again for the same post: no effect."""

    mark: Mark
    author: int
    post: int


class Withdraw(NamedTuple):
    """Take ``post`` out of every feed, for good: a later FanOut of it has no effect."""

    mark: Mark
    author: int
    post: int


FeedWrite = Follow | Unfollow | FanOut | Withdraw


def project(batch: Sequence[Record]) -> list[FeedWrite]:
    """One write for each follow, end of a follow, publication and deletion; the rest does not touch feeds: who asks to
    follow gets nothing before the Followed that approves it, so that a rejection takes nothing, and a block comes as
    the saga's Unfollowed."""
    writes: list[FeedWrite] = []
    for tp, offset, _, event in batch:
        match event:
            case PostPublished():
                writes.append(FanOut(Mark(tp, offset), event.author_id, event.post_id))
            case PostDeleted():
                writes.append(Withdraw(Mark(tp, offset), event.author_id, event.post_id))
            case Followed() | Unfollowed() | FollowerRemoved():
                if event.follower_id == event.followee_id:
                    raise Refused(f"person {event.follower_id} cannot follow themselves")
                kind = Follow if isinstance(event, Followed) else Unfollow
                writes.append(kind(Mark(tp, offset), event.follower_id, event.followee_id))
    return writes


HOME_FEED: View[FeedWrite] = View("home_feed", ("posts", "graph"), project)
