"""Reads the ``likes`` view: who likes a post, by id."""

from __future__ import annotations

from collections.abc import Collection

from sinks.cassandra import KEYS_IN, Cassandra
from sinks.view_tables import table_name


class LikeReader:
    """Who likes what. Pages go upwards by id: pass the last id of one as ``after`` of the next, 0 at first."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        likes = table_name("likes", generation)
        self._some = f"SELECT user_id FROM {likes} WHERE post_id = ? AND user_id IN ? LIMIT ?"  # noqa: S608
        self._likers = f"SELECT user_id FROM {likes} WHERE post_id = ? AND user_id > ? LIMIT ?"  # noqa: S608

    async def among(self, post_id: int, user_ids: Collection[int], limit: int) -> list[int]:
        """Up to ``limit`` of ``user_ids`` who like ``post_id``, by id. Raises ``StoreAway``."""
        asked = sorted(user_ids)
        chunks = [asked[n : n + KEYS_IN] for n in range(0, len(asked), KEYS_IN)]
        answers = await self._cassandra.execute_each((self._some, (post_id, chunk, limit)) for chunk in chunks)
        return [row.user_id for rows in answers for row in rows][:limit]

    async def likers(self, post_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those who like ``post_id``. Raises ``StoreAway``."""
        return [row.user_id for row in await self._cassandra.execute(self._likers, (post_id, after, limit))]
