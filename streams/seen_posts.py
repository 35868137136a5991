"""Seen posts: what each person had before their eyes in the last 30 days, in ``seen_posts``, for that person alone.

A row ends 30 days after the sight that was last in the log; what was seen longer ago may be shown again.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import PostSeen
from streams.records import Record
from streams.views import Mark, Upsert, View

SEEN_MS = 30 * 86_400_000
"""For so long is a sight remembered, from ``at`` of its event on."""


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert for each sight."""
    writes: list[Upsert] = []
    for tp, offset, _, event in batch:
        if isinstance(event, PostSeen):
            key = {"viewer_id": event.viewer_id, "post_id": event.post_id}
            columns = {"seen_at": event.at, "expires_at": event.at + SEEN_MS}
            writes.append(Upsert(Mark(tp, offset), "seen_posts", key, columns))
    return writes


SEEN_POSTS: View[Upsert] = View("seen_posts", ("activity",), project)
