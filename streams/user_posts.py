"""User posts: the published posts of each author, newest first, in ``user_posts``.

A deletion is a column of its own and final, also when it stands in the log before the publication.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import PostDeleted, PostPublished
from streams.records import Record
from streams.views import Mark, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert for each publication and each deletion."""
    writes: list[Upsert] = []
    for tp, offset, _, event in batch:
        if isinstance(event, PostPublished | PostDeleted):
            key = {"author_id": event.author_id, "post_id": event.post_id}
            column = "published" if isinstance(event, PostPublished) else "deleted"
            writes.append(Upsert(Mark(tp, offset), "user_posts", key, {column: True}))
    return writes


USER_POSTS: View[Upsert] = View("user_posts", ("posts",), project)
