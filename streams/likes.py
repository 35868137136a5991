"""Likes: who likes which post, as rows of ``likes``, by the post.

A relation: the last event in the log wins. The rows of a deleted post stay: the post is gone for every reader, who
asks for it before its likes (``streams.rules``), and a column that two topics owned could not converge.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import PostLiked, PostUnliked
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert | Delete]:
    """One write for each like and each unlike."""
    writes: list[Upsert | Delete] = []
    for tp, offset, _, event in batch:
        if not isinstance(event, PostLiked | PostUnliked):
            continue
        mark, key = Mark(tp, offset), {"post_id": event.post_id, "user_id": event.actor_id}
        if isinstance(event, PostLiked):
            writes.append(Upsert(mark, "likes", key, {"liked_at": event.at}))
        else:
            writes.append(Delete(mark, "likes", key))
    return writes


LIKES: View[Upsert | Delete] = View("likes", ("engagement",), project)
