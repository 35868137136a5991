"""Reads the ``seen_posts`` view."""

from __future__ import annotations

from collections.abc import Collection

from sinks.cassandra import KEYS_IN, Cassandra
from sinks.view_tables import table_name


class SeenPostReader:
    """What one person saw, for what is shown to that person only."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        self._among = (
            f"SELECT post_id, expires_at FROM {table_name('seen_posts', generation)} "  # noqa: S608
            "WHERE viewer_id = ? AND post_id IN ?"
        )

    async def among(self, viewer_id: int, post_ids: Collection[int], now: int) -> set[int]:
        """Those of ``post_ids`` that ``viewer_id`` saw, and saw lately at ``now`` in ms. Raises ``StoreAway``."""
        asked = list(post_ids)
        chunks = [asked[n : n + KEYS_IN] for n in range(0, len(asked), KEYS_IN)]
        answers = await self._cassandra.execute_each((self._among, (viewer_id, chunk)) for chunk in chunks)
        return {row.post_id for rows in answers for row in rows if row.expires_at > now}
