"""Reads the ``comments`` view: what stands under a post, by id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.view_tables import table_name

_SPARE = 10
"""Rows looked at beyond what is wanted, since some may be deleted."""
_PLACES = 50
"""Comments looked for in one statement: each under the posts of all of them."""


class CommentRow(NamedTuple):
    """A comment that stands. ``text`` is sealed under the key of ``user_id``; times are in ms."""

    post_id: int
    parent_id: int
    comment_id: int
    user_id: int
    text: bytes
    commented_at: int
    mentions: list[int]
    hashtags: list[str]


class CommentPlace(NamedTuple):
    """Where a comment stands, or stood: ``author_id`` is the post's, ``user_id`` who wrote it."""

    comment_id: int
    post_id: int
    parent_id: int
    author_id: int
    user_id: int


class CommentReader:
    """Comments of posts. Deleted ones are nowhere; the replies to them are for the caller to leave out."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        names = ", ".join((*CommentRow._fields, "deleted"))
        of_parent = f"SELECT {names} FROM {table_name('comments', generation)} WHERE post_id = ? AND parent_id = ?"  # noqa: S608
        self._newest = f"{of_parent} AND comment_id < ? ORDER BY parent_id DESC, comment_id DESC LIMIT ?"
        self._oldest = f"{of_parent} AND comment_id > ? LIMIT ?"
        self._some = f"{of_parent} AND comment_id IN ?"
        self._standing = (
            f"SELECT post_id, parent_id, comment_id, text, deleted FROM {table_name('comments', generation)} "  # noqa: S608
            "WHERE post_id IN ? AND (parent_id, comment_id) IN ?"
        )
        places, pins = table_name("comment_places", generation), table_name("comment_pins", generation)
        switches = table_name("comment_switches", generation)
        self._place = f"SELECT {', '.join(CommentPlace._fields)} FROM {places} WHERE comment_id IN ?"  # noqa: S608
        self._pins = f"SELECT comment_id, pinned_at FROM {pins} WHERE post_id = ?"  # noqa: S608
        self._switch = f"SELECT disabled FROM {switches} WHERE post_id = ?"  # noqa: S608

    async def newest(self, post_id: int, before: int, limit: int) -> list[CommentRow]:
        """The newest ``limit`` comments of a post below ``before`` that are no replies. Raises ``StoreAway``."""
        return await self._page(self._newest, post_id, 0, before, limit)

    async def replies(self, post_id: int, parent_id: int, after: int, limit: int) -> list[CommentRow]:
        """The oldest ``limit`` replies to a comment above ``after``. Raises ``StoreAway``."""
        return await self._page(self._oldest, post_id, parent_id, after, limit)

    async def place(self, comment_id: int) -> CommentPlace | None:
        """Where a comment stands, deleted or not; None for one that never was. Raises ``StoreAway``."""
        rows = await in_chunks(self._cassandra, self._place, [comment_id])
        return CommentPlace(*rows[0]) if rows else None

    async def some(self, post_id: int, parent_id: int, comment_ids: Sequence[int]) -> list[CommentRow]:
        """Those of these comments that stand, in their order in ``comment_ids``. Raises ``StoreAway``."""
        if not comment_ids:
            return []
        rows = await self._cassandra.execute(self._some, (post_id, parent_id, list(comment_ids)))
        found = {row.comment_id: _comment(row) for row in rows if _stands(row)}
        return [found[comment_id] for comment_id in comment_ids if comment_id in found]

    async def standing(self, comment_ids: Collection[int]) -> set[int]:
        """Those of ``comment_ids`` that stand, and whose comment does, where they are replies. Raises ``StoreAway``."""
        places = [CommentPlace(*row) for row in await in_chunks(self._cassandra, self._place, comment_ids)]
        places.sort(key=lambda place: place.post_id)  # those of one post are looked for together
        asked = []
        for start in range(0, len(places), _PLACES):
            some = places[start : start + _PLACES]
            branches = {(one.parent_id, one.comment_id) for one in some} | {(0, one.parent_id) for one in some}
            asked.append((self._standing, (sorted({one.post_id for one in some}), sorted(branches - {(0, 0)}))))
        answers = await self._cassandra.execute_each(asked)
        stand = {(row.post_id, row.parent_id, row.comment_id) for rows in answers for row in rows if _stands(row)}
        return {
            one.comment_id
            for one in places
            if (one.post_id, one.parent_id, one.comment_id) in stand
            and (not one.parent_id or (one.post_id, 0, one.parent_id) in stand)
        }

    async def pinned(self, post_id: int) -> list[CommentRow]:
        """The pinned comments of a post that stand, the one pinned last first. Raises ``StoreAway``."""
        pins = sorted(await self._cassandra.execute(self._pins, (post_id,)), key=lambda row: (-row.pinned_at, row[0]))
        return await self.some(post_id, 0, [row.comment_id for row in pins])

    async def disabled(self, post_id: int) -> bool:
        """Whether comments may not be added to this post. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._switch, (post_id,))
        return bool(rows and rows[0].disabled)

    async def _page(self, cql: str, post_id: int, parent_id: int, start: int, limit: int) -> list[CommentRow]:
        found: list[CommentRow] = []
        while len(found) < limit:
            asked = limit - len(found) + _SPARE
            rows = await self._cassandra.execute(cql, (post_id, parent_id, start, asked))
            found += [_comment(row) for row in rows if _stands(row)]
            if len(rows) < asked:
                break
            start = rows[-1].comment_id
        return found[:limit]


def _stands(row: Row) -> bool:
    return not row.deleted and row.text is not None


def _comment(row: Row) -> CommentRow:
    named = {name: getattr(row, name) for name in CommentRow._fields}
    return CommentRow(**named | {"mentions": list(row.mentions or ()), "hashtags": list(row.hashtags or ())})
