"""Everything that the views hold of one person, for the export of their data.

Where no table is by person, the whole table is scanned, which reads as much as the table is long: that is for a rare
wish, never for a page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sinks.cassandra import Cassandra
from sinks.view_tables import TABLES, table_name
from streams.follows import BLOCKS, MUTES

OWN: Mapping[str, tuple[str, str]] = {
    "posts": ("user_posts", "author_id"),
    "following": ("following", "follower_id"),
    "followers": ("followers", "followee_id"),
    "follow_requests_sent": ("requested", "follower_id"),
    "follow_requests_received": ("requests", "followee_id"),
    "blocks": ("ties", "user_id"),
    "mutes": ("ties", "user_id"),
    "likes": ("likes", "user_id"),
    "comments": ("comments", "user_id"),
    "posts_seen": ("seen_posts", "viewer_id"),
    "saves": ("saves", "user_id"),
    "collections": ("collections", "owner_id"),
    "stories": ("user_stories", "author_id"),
    "highlights": ("highlights", "author_id"),
    "highlight_stories": ("highlight_stories", "author_id"),
    "stories_seen": ("stories_seen", "viewer_id"),
    "notifications": ("notification_groups", "recipient_id"),
    "notification_preferences": ("notification_preferences", "recipient_id"),
}
"""Part of an export → the table it is in, and the column that names the person."""
_KINDS = {"blocks": BLOCKS, "mutes": MUTES}
"""Parts of ``OWN`` that are one kind of their table's rows. Of ``ties``, by whom one is blocked is nobody's to know."""


class OwnRows:
    """Rows of one person, as dictionaries of columns."""

    def __init__(self, cassandra: Cassandra, generations: Mapping[str, int]) -> None:
        """``generations`` names the live generation of each view; 1 where it does not."""
        self._cassandra = cassandra
        self._generations = generations

    async def rows(self, part: str, user_id: int) -> AsyncIterator[dict[str, Any]]:
        """Those of ``part`` (see ``OWN``), page by page, in no order. Raises ``StoreAway``."""
        table, column = OWN[part]
        declared = TABLES[table]
        name = table_name(table, self._generations.get(declared.view, 1))
        cql = f"SELECT * FROM {name} WHERE {column} = ?"  # noqa: S608 (names of ours)
        params = [user_id]
        if part in _KINDS:
            cql += " AND kind = ?"
            params.append(_KINDS[part])
        if declared.key[0] != column:
            cql += " ALLOW FILTERING"
        async for page in self._cassandra.pages(cql, params):
            for row in page:
                yield row._asdict()
