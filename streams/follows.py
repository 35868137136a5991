"""Follows: who follows, asks to follow, blocks and mutes whom, and who is private, as rows.

Relations: the last event in the log wins. All rows of one event come from the partition of the person followed, or, of
``ties``, from the person whose ties they are, so the tables disagree for no longer than a micro-batch takes.

``approved`` is set by a Followed that the followee said, and stays until the follow ends: a follow without it counts
only if it is older than the followee's being private (``streams.rules``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.events import (
    Blocked,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    Muted,
    PrivacyChanged,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from streams.records import Record
from streams.views import Delete, Mark, Refused, Upsert, View

BLOCKS, BLOCKED_BY, MUTES = 1, 2, 3
"""Kinds of ``ties``: whom one blocks, by whom one is blocked, whom one mutes."""

FOLLOW_TABLES = ("followers", "following")
REQUEST_TABLES = ("requests", "requested")
Pairwise = Followed | Unfollowed | FollowRequested | FollowRejected | FollowerRemoved
Tied = Blocked | Unblocked | Muted | Unmuted


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """The rows of each event of ``graph``. Raises ``Refused`` for someone who does any of it to themselves."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        writes += _rows(Mark(tp, offset), event)
    return writes


def _rows(mark: Mark, event: Event) -> Iterator[Upsert | Delete]:
    match event:
        case Followed() | Unfollowed() | FollowRequested() | FollowRejected() | FollowerRemoved():
            yield from _pair(mark, event)
        case Blocked() | Unblocked() | Muted() | Unmuted():
            yield _tie(mark, event)
        case PrivacyChanged():
            key = {"user_id": event.user_id, "changed_offset": mark.offset}
            yield Upsert(mark, "privacy", key, {"private": event.private, "changed_at": event.at})


def _pair(mark: Mark, event: Pairwise) -> Iterator[Upsert | Delete]:
    if event.follower_id == event.followee_id:
        raise Refused(f"person {event.follower_id} cannot follow themselves")
    key = {"followee_id": event.followee_id, "follower_id": event.follower_id}
    ended: tuple[str, ...] = ()
    match event:
        case Followed():
            approved = event.actor_id == event.followee_id
            yield Upsert(mark, "followers", key, {"followed_at": event.at})
            columns: dict[str, object] = {"followed_at": event.at}
            yield Upsert(mark, "following", key, columns | ({"approved": True} if approved else {}))
            if approved:
                ended = REQUEST_TABLES
        case FollowRequested(follows=True):
            pass
        case FollowRequested():
            for table in REQUEST_TABLES:
                yield Upsert(mark, table, key, {"requested_at": event.at})
        case FollowRejected():
            ended = REQUEST_TABLES
        case _:
            ended = FOLLOW_TABLES + REQUEST_TABLES
    for table in ended:
        yield Delete(mark, table, key)


def _tie(mark: Mark, event: Tied) -> Upsert | Delete:
    if isinstance(event, Blocked | Unblocked):
        one, other = event.blocker_id, event.blocked_id
        if event.user_id not in (one, other):
            raise Refused(f"a block by {one} of {other} cannot stand under the key of {event.user_id}")
        kind = BLOCKS
        if event.user_id == other:
            kind, one, other = BLOCKED_BY, other, one
    else:
        kind, one, other = MUTES, event.muter_id, event.muted_id
    if one == other:
        raise Refused(f"person {one} cannot block or mute themselves")
    key = {"user_id": one, "kind": kind, "other_id": other}
    if isinstance(event, Blocked | Muted):
        return Upsert(mark, "ties", key, {"since": event.at})
    return Delete(mark, "ties", key)


FOLLOWS: View[Upsert | Delete] = View("follows", ("graph",), project)
