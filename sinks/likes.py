"""Reads the ``likes`` view: who likes a post, by id."""

from __future__ import annotations

from sinks.cassandra import Cassandra
from sinks.view_tables import table_name


class LikeReader:
    """Who likes what. Pages go upwards by id: pass the last id of one as ``after`` of the next, 0 at first."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        likes = table_name("likes", generation)
        self._likers = f"SELECT user_id FROM {likes} WHERE post_id = ? AND user_id > ? LIMIT ?"  # noqa: S608

    async def likers(self, post_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those who like ``post_id``. Raises ``StoreAway``."""
        return [row.user_id for row in await self._cassandra.execute(self._likers, (post_id, after, limit))]
