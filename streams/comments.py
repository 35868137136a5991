"""Comments: a row per comment in ``comments``, under its post and the comment that it replies to.

- A comment is gone once ``deleted`` is set, whatever else stands in its row, before or after, and its replies with it:
  readers look at both.
- ``comment_places`` says where a comment stands, for those who know only its id.
- ``comment_pins`` is a relation of a post and its comments, ``comment_switches`` says of a post whether comments may be
  added: the last event in the log wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
)
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """The writes of each event about a comment, or about the comments of a post."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case CommentAdded():
                columns = {
                    "user_id": event.actor_id,
                    "text": event.text,
                    "commented_at": event.at,
                    "mentions": event.mentions,
                    "hashtags": event.hashtags,
                    "spam": event.spam,
                }
                writes += _entity(mark, event, event.actor_id, columns)
            case CommentDeleted():
                gone = dict.fromkeys(("text", "mentions", "hashtags")) | {"deleted": True}
                writes += _entity(mark, event, event.commenter_id, gone)
            case CommentPinned():
                writes.append(Upsert(mark, "comment_pins", _pin(event), {"pinned_at": event.at}))
            case CommentUnpinned():
                writes.append(Delete(mark, "comment_pins", _pin(event)))
            case CommentsDisabled() | CommentsEnabled():
                off = isinstance(event, CommentsDisabled)
                writes.append(Upsert(mark, "comment_switches", {"post_id": event.post_id}, {"disabled": off}))
    return writes


def _entity(
    mark: Mark, event: CommentAdded | CommentDeleted, commenter: int, columns: dict[str, Any]
) -> tuple[Upsert, Upsert]:
    key = {"post_id": event.post_id, "parent_id": event.parent_id, "comment_id": event.comment_id}
    place = {"post_id": event.post_id, "parent_id": event.parent_id, "author_id": event.author_id, "user_id": commenter}
    return (
        Upsert(mark, "comments", key, columns),
        Upsert(mark, "comment_places", {"comment_id": event.comment_id}, place),
    )


def _pin(event: CommentPinned | CommentUnpinned) -> dict[str, int]:
    return {"post_id": event.post_id, "comment_id": event.comment_id}


COMMENTS: View[Upsert | Delete] = View("comments", ("engagement",), project)
