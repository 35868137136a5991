"""What ranking learns from, as the facts hold it: impressions, what came of them, follows, and what posts are like."""

# ruff: noqa: S608 (names of ours)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.events import (
    CommentAdded,
    Event,
    Followed,
    FollowerRemoved,
    PostLiked,
    PostSaved,
    PostSeen,
    PostShared,
    PostSubmitted,
    ProfileVisited,
    Unfollowed,
)
from sinks.clickhouse import ClickHouse
from sinks.fact_tables import fact_tables

_AT = "toUnixTimestamp64Milli(least(at, _at))"
"""Effective time, as views see it: nobody learns from a clock in the future."""
_DONE = (PostLiked, CommentAdded, PostSaved, PostShared)
_FOLLOWED = (Followed, Unfollowed, FollowerRemoved)


async def engagement(clickhouse: ClickHouse, generation: int, since: int) -> list[Event]:
    """Every such event from ``since`` on (effective time, ms), and every follow ever; by time, those of one partition
    in the log's order. Only what folds of affinity and trends ask is filled in, and nothing that anybody wrote. Raises
    ``StoreAway``."""
    rows: list[tuple[tuple[int, str, int, int], Event]] = []

    async def read(topic: str, columns: str, kinds: tuple[type[Event], ...], made: Callable[..., Event]) -> None:
        names = ", ".join(f"'{kind.__name__}'" for kind in kinds)
        query = (
            f"SELECT _event, _partition, _offset, {_AT}, actor_id, {columns} "
            f"FROM {fact_tables()[topic].name(generation)} "
            f"WHERE _event IN ({names}) AND least(at, _at) >= fromUnixTimestamp64Milli({{since:Int64}}) "
            "AND _at >= fromUnixTimestamp64Milli({since:Int64})"  # so that older months are not looked at
        )
        found = await clickhouse.query_facts(query, {"since": 0 if topic == "graph" else since})
        of = {kind.__name__: kind for kind in kinds}
        base: dict[str, Any]
        for event, partition, offset, at, actor, *rest in found:
            base = {"event_id": 0, "at": at, "actor_id": actor}
            rows.append(((at, topic, partition, offset), made(of[event], base, *rest)))

    await read("engagement", "post_id, author_id", _DONE, _done)
    await read("graph", "follower_id, followee_id", _FOLLOWED, _followed)
    await read("activity", "viewer_id, post_id, author_id, dwell_ms, surface, rank", (PostSeen,), _seen)
    await read("activity", "viewer_id, profile_id", (ProfileVisited,), _visited)
    await read("posts", "post_id, author_id, media_ids, mentions, tagged, hashtags, place", (PostSubmitted,), _posted)
    return [event for _, event in sorted(rows, key=lambda row: row[0])]


def _done(kind: type[Any], base: dict[str, Any], post_id: int, author_id: int) -> Event:
    given: dict[str, Any] = {**base, "post_id": post_id, "author_id": author_id}
    if kind is CommentAdded:
        given |= {"comment_id": 0, "text": b""}
    return kind(**given)  # type: ignore[no-any-return]


def _followed(kind: type[Any], base: dict[str, Any], follower_id: int, followee_id: int) -> Event:
    return kind(**base, follower_id=follower_id, followee_id=followee_id)  # type: ignore[no-any-return]


def _seen(kind: type[Any], base: dict[str, Any], viewer: int, post: int, author: int, *rest: Any) -> Event:
    dwell, surface, rank = rest
    about: dict[str, Any] = {"viewer_id": viewer, "post_id": post, "author_id": author}
    return PostSeen(**base, **about, dwell_ms=dwell, surface=surface, rank=rank)


def _visited(kind: type[Any], base: dict[str, Any], viewer_id: int, profile_id: int) -> Event:
    return ProfileVisited(**base, viewer_id=viewer_id, profile_id=profile_id)


def _posted(kind: type[Any], base: dict[str, Any], post_id: int, author_id: int, *rest: Any) -> Event:
    media_ids, mentions, tagged, hashtags, place = rest
    return PostSubmitted(
        **base,
        post_id=post_id,
        author_id=author_id,
        media_ids=list(media_ids),
        caption=b"",
        mentions=list(mentions),
        tagged=list(tagged),
        hashtags=list(hashtags),
        place=place,
    )
