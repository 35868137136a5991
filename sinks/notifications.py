"""Reads the ``notifications`` view."""

from __future__ import annotations

from typing import NamedTuple

from sinks.cassandra import Cassandra
from sinks.view_tables import table_name


class NotificationRow(NamedTuple):
    """One notice. ``kind`` says which fields mean something; ``at`` is in ms; ``post_id`` 0 where there is none."""

    notification_id: int
    kind: str
    at: int
    media_id: int
    post_id: int
    code: str
    reason: str


class NotificationReader:
    """The notices of one person, newest first."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        self._page = (
            f"SELECT {', '.join(NotificationRow._fields)} FROM {table_name('notifications', generation)} "  # noqa: S608
            "WHERE recipient_id = ? AND notification_id < ? LIMIT ?"
        )

    async def page(self, recipient_id: int, before: int, limit: int) -> list[NotificationRow]:
        """The newest ``limit`` with ids below ``before`` (``schemas.ids.MAX_ID`` at first). Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._page, (recipient_id, before, limit))
        return [NotificationRow(*row) for row in rows]
