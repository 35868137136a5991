"""The keys of sealed personal fields, in Cassandra and nowhere else."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from sinks.cassandra import Cassandra
from sinks.sealing import KEY_BYTES, new_key

_INSERT = "INSERT INTO person_keys (user_id, sealing_key) VALUES (?, ?)"
# As old as can be: should a person already have a key, that one stays.
_INSERT_BEHIND = f"{_INSERT} USING TIMESTAMP 1"
_SELECT = "SELECT user_id, sealing_key FROM person_keys WHERE user_id IN ?"
_TOGETHER = 50
"""People asked for in one statement: more of them would make one coordinator gather for too long."""
_AT_ONCE = 1000


class PersonKeys:
    """Keys by person, with the ``remembered`` last read ones in memory. Raises ``StoreAway``.

    A key never changes, so a remembered one is right until the person is erased; none is remembered for longer than
    ``seconds``, after which nobody holds the key of somebody who was erased elsewhere.
    """

    def __init__(
        self,
        cassandra: Cassandra,
        remembered: int = 50_000,
        seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cassandra = cassandra
        self._remembered = remembered
        self._seconds, self._clock = seconds, clock
        self._keys: OrderedDict[int, tuple[bytes, float]] = OrderedDict()
        """Key, and until when it is remembered; in the order in which they were."""

    async def create(self, user_id: int) -> bytes:
        """Make the key of a person, or give the one that they have: of two gateways at once, one wins for both."""
        made = new_key()
        rows = await self._cassandra.execute(f"{_INSERT} IF NOT EXISTS", (user_id, made))
        key = made if rows[0].applied else bytes(rows[0].sealing_key)
        self._remember(user_id, key)
        return key

    async def create_many(self, keys: Mapping[int, bytes]) -> None:
        """Store keys that were made elsewhere: a simulation's. Who already has a key keeps it."""
        wrong = [user_id for user_id, key in keys.items() if len(key) != KEY_BYTES]
        if wrong:
            raise ValueError(f"a key has {KEY_BYTES} bytes; the one of {wrong[0]} has not")
        rows = list(keys.items())
        for start in range(0, len(rows), _AT_ONCE):
            await self._cassandra.execute_each((_INSERT_BEHIND, row) for row in rows[start : start + _AT_ONCE])

    async def get_many(self, ids: Iterable[int]) -> dict[int, bytes]:
        """The keys of those people who have one."""
        found: dict[int, bytes] = {}
        missing = []
        self._let_go()
        for user_id in set(ids):
            kept = self._keys.get(user_id)
            if kept is None:
                missing.append(user_id)
            else:
                found[user_id] = kept[0]
        parts = [missing[start : start + _TOGETHER] for start in range(0, len(missing), _TOGETHER)]
        for rows in await self._cassandra.execute_each((_SELECT, (part,)) for part in parts):
            for row in rows:
                if row.sealing_key is not None:
                    found[row.user_id] = bytes(row.sealing_key)
                    self._remember(row.user_id, found[row.user_id])
        return found

    async def stands(self, user_id: int) -> bool:
        """Whether this person has a key, asked of Cassandra and not of memory: it is the first to go in an erasure."""
        rows = await self._cassandra.execute(_SELECT, ([user_id],))
        return any(row.sealing_key is not None for row in rows)

    def remembered(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Those keys that are in memory."""
        self._let_go()
        return {user_id: self._keys[user_id][0] for user_id in ids if user_id in self._keys}

    def forget(self, user_id: int) -> None:
        """Drop a person's key from memory."""
        self._keys.pop(user_id, None)

    def _remember(self, user_id: int, key: bytes) -> None:
        self._keys[user_id] = key, self._clock() + self._seconds
        self._keys.move_to_end(user_id)
        if len(self._keys) > self._remembered:
            self._keys.popitem(last=False)

    def _let_go(self) -> None:
        now = self._clock()
        while self._keys and next(iter(self._keys.values()))[1] <= now:
            self._keys.popitem(last=False)
