"""Reads the ``follows`` view: lists by id. What people may see of each other is in ``sinks.relations``."""

from __future__ import annotations

from collections.abc import Collection

from sinks.cassandra import KEYS_IN, Cassandra
from sinks.view_tables import table_name
from streams.follows import BLOCKS, MUTES

_PAGE = 2000
"""Rows of one answer, where all are read."""


class FollowReader:
    """Who follows whom. Pages go upwards by id: pass the last id of one as ``after`` of the next, 0 at first."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        followers, following = table_name("followers", generation), table_name("following", generation)
        self._followers = f"SELECT follower_id FROM {followers} WHERE followee_id = ? AND follower_id > ? LIMIT ?"  # noqa: S608
        self._following = f"SELECT followee_id FROM {following} WHERE follower_id = ? AND followee_id > ? LIMIT ?"  # noqa: S608
        self._some = f"SELECT followee_id FROM {following} WHERE follower_id = ? AND followee_id IN ?"  # noqa: S608
        self._follower_count = f"SELECT COUNT(*) AS counted FROM {followers} WHERE followee_id = ?"  # noqa: S608
        self._following_count = f"SELECT COUNT(*) AS counted FROM {following} WHERE follower_id = ?"  # noqa: S608
        requests, requested, ties = (table_name(name, generation) for name in ("requests", "requested", "ties"))
        self._requests = f"SELECT follower_id FROM {requests} WHERE followee_id = ? AND follower_id > ? LIMIT ?"  # noqa: S608
        self._request = f"SELECT follower_id FROM {requests} WHERE followee_id = ? AND follower_id = ?"  # noqa: S608
        self._requested = f"SELECT followee_id FROM {requested} WHERE follower_id = ? AND followee_id > ? LIMIT ?"  # noqa: S608
        self._ties = f"SELECT other_id FROM {ties} WHERE user_id = ? AND kind = ? AND other_id > ? LIMIT ?"  # noqa: S608
        self._among = f"SELECT follower_id FROM {followers} WHERE followee_id = ? AND follower_id IN ?"  # noqa: S608
        self._one = f"SELECT followee_id FROM {following} WHERE follower_id = ? AND followee_id = ?"  # noqa: S608

    async def followers(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those who follow ``user_id``. Raises ``StoreAway``."""
        return [row.follower_id for row in await self._cassandra.execute(self._followers, (user_id, after, limit))]

    async def following(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those whom ``user_id`` follows. Raises ``StoreAway``."""
        return [row.followee_id for row in await self._cassandra.execute(self._following, (user_id, after, limit))]

    async def requests(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those who asked to follow ``user_id``; one who follows by now may
        be among them. Raises ``StoreAway``."""
        return [row.follower_id for row in await self._cassandra.execute(self._requests, (user_id, after, limit))]

    async def has_request(self, user_id: int, follower_id: int) -> bool:
        """Whether ``follower_id`` asked to follow ``user_id``, and waits. Raises ``StoreAway``."""
        return bool(await self._cassandra.execute(self._request, (user_id, follower_id)))

    async def requested(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those whom ``user_id`` asked to follow. Raises ``StoreAway``."""
        return [row.followee_id for row in await self._cassandra.execute(self._requested, (user_id, after, limit))]

    async def blocks(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those whom ``user_id`` blocks. Raises ``StoreAway``."""
        return await self._tied(user_id, BLOCKS, after, limit)

    async def mutes(self, user_id: int, after: int, limit: int) -> list[int]:
        """The first ``limit`` ids above ``after`` of those whom ``user_id`` mutes. Raises ``StoreAway``."""
        return await self._tied(user_id, MUTES, after, limit)

    async def followers_among(self, user_id: int, of: Collection[int]) -> list[int]:
        """Those of ``of`` who follow ``user_id``, by id. Raises ``StoreAway``."""
        asked = list(of)
        chunks = [asked[n : n + KEYS_IN] for n in range(0, len(asked), KEYS_IN)]
        answers = await self._cassandra.execute_each((self._among, (user_id, chunk)) for chunk in chunks)
        return sorted(row.follower_id for rows in answers for row in rows)

    async def _tied(self, user_id: int, kind: int, after: int, limit: int) -> list[int]:
        rows = await self._cassandra.execute(self._ties, (user_id, kind, after, limit))
        return [row.other_id for row in rows]

    async def is_following(self, follower_id: int, followee_id: int) -> bool:
        """Whether ``follower_id`` follows ``followee_id``. Raises ``StoreAway``."""
        return bool(await self._cassandra.execute(self._one, (follower_id, followee_id)))

    async def following_of(self, user_id: int) -> list[int]:
        """Whom ``user_id`` follows, all of them, by id. Raises ``StoreAway``."""
        found: list[int] = []
        while True:
            some = await self.following(user_id, found[-1] if found else 0, _PAGE)
            found += some
            if len(some) < _PAGE:
                return found

    async def follower_count(self, user_id: int) -> int:
        """How many follow ``user_id``: counts rows, some 100,000 a second. Raises ``StoreAway``."""
        (row,) = await self._cassandra.execute(self._follower_count, (user_id,))
        return int(row.counted)

    async def following_count(self, user_id: int) -> int:
        """How many ``user_id`` follows. Raises ``StoreAway``."""
        (row,) = await self._cassandra.execute(self._following_count, (user_id,))
        return int(row.counted)
