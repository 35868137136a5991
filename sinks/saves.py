"""Reads the ``saves`` view: what a person keeps, and in which collections."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.view_tables import table_name


class CollectionRow(NamedTuple):
    """A collection that stands. ``name`` is sealed under its owner's key."""

    collection_id: int
    name: bytes
    made_at: int


class SaveReader:
    """What one person keeps; for that person only."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        saves, collections = table_name("saves", generation), table_name("collections", generation)
        # Filtered within the partition of one person, in which every row is a post that they keep.
        self._posts = (
            f"SELECT post_id FROM {saves} "  # noqa: S608
            "WHERE user_id = ? AND post_id < ? AND collection_id = ? LIMIT ? ALLOW FILTERING"
        )
        self._newest_of_each = (
            f"SELECT user_id, post_id, collection_id FROM {saves} "  # noqa: S608
            "WHERE user_id IN ? PER PARTITION LIMIT ?"
        )
        self._one = f"SELECT saved_at FROM {saves} WHERE user_id = ? AND post_id = ? AND collection_id = 0"  # noqa: S608
        self._all = f"SELECT collection_id, name, made_at, deleted FROM {collections} WHERE owner_id = ?"  # noqa: S608
        self._collection = f"{self._all} AND collection_id = ?"

    async def posts(self, user_id: int, collection_id: int, before: int, limit: int) -> list[int]:
        """The newest ``limit`` posts below ``before`` in a collection, or, for 0, among all that are kept, the newest
        first. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._posts, (user_id, before, collection_id, limit))
        return [row.post_id for row in rows]

    async def newest_of_each(self, user_ids: Collection[int], limit: int) -> dict[int, set[int]]:
        """Posts among the ``limit`` newest rows of each of these people: post → who keeps it. For counting people, and
        never for telling who they are. Raises ``StoreAway``."""
        found: dict[int, set[int]] = {}
        for row in await in_chunks(self._cassandra, self._newest_of_each, user_ids, limit):
            if not row.collection_id:
                found.setdefault(row.post_id, set()).add(row.user_id)
        return found

    async def keeps(self, user_id: int, post_id: int) -> bool:
        """Whether this person keeps the post. Raises ``StoreAway``."""
        return bool(await self._cassandra.execute(self._one, (user_id, post_id)))

    async def collections(self, owner_id: int) -> list[CollectionRow]:
        """This person's collections, the newest first. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._all, (owner_id,))
        return [_collection(row) for row in rows if _stands(row)]

    async def collection(self, owner_id: int, collection_id: int) -> CollectionRow | None:
        """One of this person's collections; None where it is not theirs, or gone. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._collection, (owner_id, collection_id))
        return _collection(rows[0]) if rows and _stands(rows[0]) else None


def _stands(row: Row) -> bool:
    return not row.deleted and row.made_at is not None


def _collection(row: Row) -> CollectionRow:
    return CollectionRow(row.collection_id, row.name, row.made_at)
