"""Reads the ``accounts`` view."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sinks.cassandra import Cassandra, in_chunks
from sinks.view_tables import table_name


class AccountRow(NamedTuple):
    """A person's profile. ``username``, ``name`` and ``bio`` are sealed under their key; a ``bio`` never set is empty,
    and not sealed. ``registered_at`` is in ms."""

    user_id: int
    username: bytes
    name: bytes
    bio: bytes
    registered_at: int


class AccountReader:
    """Profiles by id."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        table = table_name("accounts", generation)
        self._by_ids = f"SELECT user_id, username, name, bio, registered_at FROM {table} WHERE user_id IN ?"  # noqa: S608

    async def by_ids(self, ids: Collection[int]) -> dict[int, AccountRow]:
        """The accounts among ``ids`` that are registered. Raises ``StoreAway``."""
        rows = await in_chunks(self._cassandra, self._by_ids, ids)
        return {
            row.user_id: AccountRow(row.user_id, row.username, row.name, row.bio or b"", row.registered_at)
            for row in rows
            if row.registered_at is not None
        }
