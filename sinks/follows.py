"""Reads the ``follows`` view: lists by id, both ways."""

from __future__ import annotations

from sinks.cassandra import Cassandra
from sinks.view_tables import table_name


class FollowReader:
    """Who follows whom. Pages go upwards by id: pass the last id of one as ``after`` of the next, 0 at first."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        followers, following = table_name("followers", generation), table_name("following", generation)
        self._followers = f"SELECT follower_id FROM {followers} WHERE followee_id = ? AND follower_id > ? LIMIT ?"  # noqa: S608
        self._following = f"SELECT followee_id FROM {following} WHERE follower_id = ? AND followee_id > ? LIMIT ?"  # noqa: S608
        self._one = f"SELECT followee_id FROM {following} WHERE follower_id = ? AND followee_id = ?"  # noqa: S608

    async def followers(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those who follow ``user_id``. Raises ``StoreAway``."""
        return [row.follower_id for row in await self._cassandra.execute(self._followers, (user_id, after, limit))]

    async def following(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those whom ``user_id`` follows. Raises ``StoreAway``."""
        return [row.followee_id for row in await self._cassandra.execute(self._following, (user_id, after, limit))]

    async def is_following(self, follower_id: int, followee_id: int) -> bool:
        """Whether ``follower_id`` follows ``followee_id``. Raises ``StoreAway``."""
        return bool(await self._cassandra.execute(self._one, (follower_id, followee_id)))
