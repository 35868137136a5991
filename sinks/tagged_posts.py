"""Reads the ``tagged_posts`` view."""

from __future__ import annotations

from typing import NamedTuple

from sinks.cassandra import Cassandra
from sinks.view_tables import table_name


class Tagged(NamedTuple):
    """A post that has named it once."""

    post_id: int
    author_id: int


class TaggedPostReader:
    """Posts by what they have named: whether they still do, their own rows say."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        self._newest = (
            f"SELECT post_id, author_id FROM {table_name('tagged_posts', generation)} "  # noqa: S608
            "WHERE name = ? AND post_id < ? LIMIT ?"
        )

    async def newest(self, name: str, before: int, limit: int) -> list[Tagged]:
        """The newest ``limit`` posts below ``before`` that have named ``name`` (as ``streams.trending.name_of`` writes
        it), newest first. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._newest, (name, before, limit))
        return [Tagged(row.post_id, row.author_id) for row in rows]
