"""Reads the ``posts`` and ``user_posts`` views."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from schemas.events import RenderedMedia
from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.view_tables import table_name

LEAST_EACH = 4
"""Posts asked of each author at first, at least, when there are many authors."""


class PostRow(NamedTuple):
    """A post, by what the log says of it. Times are in ms; ``caption`` is sealed.

    Deleted if ``deleted``; else published if ``published_at`` is set; else rejected if ``rejected_code`` is; else still
    being made. A deletion can be all that is known: then there are no media, and caption and ``submitted_at`` are empty
    and 0.
    """

    post_id: int
    author_id: int
    media_ids: list[int]
    caption: bytes
    submitted_at: int
    edited_at: int | None
    published_at: int | None
    media: list[RenderedMedia]
    rejected_code: str | None
    rejected_reason: str | None
    deleted: bool
    mentions: Sequence[int] = ()
    tagged: Sequence[int] = ()
    hashtags: Sequence[str] = ()
    place: str = ""


class MediaRow(NamedTuple):
    """What became of an upload. ``rendered`` is set when it is ready, ``code`` and ``reason`` when it is rejected."""

    media_id: int
    owner_id: int
    status: Literal["processing", "ready", "rejected"]
    rendered: RenderedMedia | None
    code: str | None
    reason: str | None


class PostReader:
    """Posts and media by id, and the posts of authors by time."""

    def __init__(self, cassandra: Cassandra, generation: int = 1, user_posts_generation: int = 1) -> None:
        """``generation`` is that of the view ``posts``."""
        self._cassandra = cassandra
        posts, media = table_name("posts", generation), table_name("media", generation)
        newest = f"SELECT author_id, post_id, published, deleted FROM {table_name('user_posts', user_posts_generation)}"  # noqa: S608
        self._by_ids = f"SELECT {', '.join(PostRow._fields)} FROM {posts} WHERE post_id IN ?"  # noqa: S608
        self._media = f"SELECT media_id, owner_id, rendered, code, reason FROM {media} WHERE media_id IN ?"  # noqa: S608
        self._uploaded = f"SELECT uploaded_at FROM {media} WHERE media_id = ?"  # noqa: S608
        self._newest_of_each = f"{newest} WHERE author_id IN ? AND post_id < ? PER PARTITION LIMIT ?"
        self._count = (
            "SELECT COUNT(*) AS counted, COUNT(deleted) AS gone "  # noqa: S608
            f"FROM {table_name('user_posts', user_posts_generation)} WHERE author_id = ?"
        )
        self._newest_of_one = f"{newest} WHERE author_id = ? AND post_id < ? LIMIT ?"

    async def by_ids(self, ids: Collection[int]) -> dict[int, PostRow]:
        """The posts among ``ids`` of which the view knows anything, deleted ones too. Raises ``StoreAway``."""
        return {row.post_id: _post(row) for row in await in_chunks(self._cassandra, self._by_ids, ids)}

    async def media(self, media_ids: Collection[int]) -> dict[int, MediaRow]:
        """The media among ``media_ids`` of which the view knows anything. Raises ``StoreAway``."""
        return {row.media_id: _media(row) for row in await in_chunks(self._cassandra, self._media, media_ids)}

    async def uploaded_at(self, media_id: int) -> int | None:
        """When a media was uploaded, in ms; None where the view does not know. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._uploaded, (media_id,))
        return rows[0].uploaded_at if rows else None

    async def user_posts(self, author_id: int, before: int, limit: int) -> list[int]:
        """Ids of the newest ``limit`` published, undeleted posts of an author below ``before``, newest first."""
        return await self.older((author_id,), before, limit)

    async def count(self, author_id: int) -> int:
        """How many posts of an author are published and not deleted: counts rows, some 100,000 a second."""
        (row,) = await self._cassandra.execute(self._count, (author_id,))
        # A row is published, deleted, or both.
        return int(row.counted - row.gone)

    async def older(self, author_ids: Collection[int], before: int, limit: int) -> list[int]:
        """Ids of the newest ``limit`` published, undeleted posts below ``before`` of all ``author_ids``, newest first.

        Shorter than ``limit`` only where there are no more. Each author is asked for a few posts; then those alone are
        asked for more whose unread posts could still be among the newest ``limit``. Raises ``StoreAway``.
        """
        authors = {author_id: _Author(before) for author_id in author_ids}
        if not authors or limit < 1:
            return []
        share = max(LEAST_EACH, -(-2 * limit // len(authors)))
        rows = await in_chunks(self._cassandra, self._newest_of_each, authors, before, share)
        for row in rows:
            authors[row.author_id].take(row)
        for author in authors.values():
            author.settle(share)
        while True:
            live = sorted((post_id for author in authors.values() for post_id in author.live), reverse=True)[:limit]
            lowest = live[-1] if len(live) == limit else 0
            # All that an author has above ``unread_below`` is known.
            lagging = {id_: author for id_, author in authors.items() if author.more and author.unread_below > lowest}
            if not lagging:
                return live
            asked = limit + LEAST_EACH
            answers = await self._cassandra.execute_each(
                (self._newest_of_one, (id_, author.unread_below, asked)) for id_, author in lagging.items()
            )
            for author, more in zip(lagging.values(), answers, strict=True):
                for row in more:
                    author.take(row)
                author.settle(asked)


@dataclass
class _Author:
    """How far one author's posts are read, newest first."""

    unread_below: int
    more: bool = True
    live: list[int] = field(default_factory=list)
    taken: int = 0

    def take(self, row: Row) -> None:
        self.taken += 1
        self.unread_below = min(self.unread_below, row.post_id)
        if row.published and not row.deleted:
            self.live.append(row.post_id)

    def settle(self, asked: int) -> None:
        """An answer is complete: fewer rows than ``asked`` for were the last ones."""
        self.more = self.taken == asked
        self.taken = 0


_PICTURES = msgspec.json.Decoder(list[RenderedMedia])
_PICTURE = msgspec.json.Decoder(RenderedMedia)


def _post(row: Row) -> PostRow:
    return PostRow(
        post_id=row.post_id,
        author_id=row.author_id,
        media_ids=row.media_ids or [],
        caption=row.caption or b"",
        submitted_at=row.submitted_at or 0,
        edited_at=row.edited_at,
        published_at=row.published_at,
        media=_PICTURES.decode(row.media) if row.media else [],
        rejected_code=row.rejected_code,
        rejected_reason=row.rejected_reason,
        deleted=bool(row.deleted),
        mentions=row.mentions or (),
        tagged=row.tagged or (),
        hashtags=row.hashtags or (),
        place=row.place or "",
    )


def _media(row: Row) -> MediaRow:
    rendered = _PICTURE.decode(row.rendered) if row.rendered else None
    if rendered is not None:  # also after a rejection: see streams.posts
        return MediaRow(row.media_id, row.owner_id, "ready", rendered, None, None)
    status: Literal["processing", "rejected"] = "processing" if row.code is None else "rejected"
    return MediaRow(row.media_id, row.owner_id, status, None, row.code, row.reason)
