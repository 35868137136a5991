"""Who has which username, in Cassandra only: written by lightweight transactions, since gateways race for names.

A name is reserved before the event that takes it is said, and confirmed after. Beside each stands a row of what it
looks like (``streams.usernames.skeleton``), so that nobody else gets a name that looks the same.
"""

from __future__ import annotations

from typing import NamedTuple

from sinks.cassandra import Cassandra

RESERVATION_MS = 10 * 60_000
"""After this time a reservation that was never confirmed can be taken over: longer than any produce lasts."""


class Name(NamedTuple):
    """A username's row: who has it, since when (ms), whether the event that takes it is known to be in the log, and
    when (ms) its owner took another one instead; it then leads to them for a time."""

    user_id: int
    reserved_at: int
    confirmed: bool
    replaced_at: int | None = None


class Likeness(NamedTuple):
    """Who has the look of a name, by which of their names, and since when (ms)."""

    username: str
    user_id: int
    reserved_at: int


class Usernames:
    """Names come in case-folded. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def reserve(self, username: str, user_id: int, now_ms: int) -> Name:
        """Reserve ``username`` for ``user_id`` and return whose it is now: the caller's, or somebody else's.

        Reserving one's own name again changes nothing.
        """
        rows = await self._cassandra.execute(
            "INSERT INTO usernames (username, user_id, reserved_at, confirmed) VALUES (?, ?, ?, false) IF NOT EXISTS",
            (username, user_id, now_ms),
        )
        return Name(user_id, now_ms, False) if rows[0].applied else _name(rows[0])

    async def take_over(self, username: str, expired: Name, user_id: int, now_ms: int) -> bool:
        """Take a name that nobody holds any more; False if somebody was quicker, or if it changed meanwhile."""
        rows = await self._cassandra.execute(
            "UPDATE usernames SET user_id = ?, reserved_at = ?, confirmed = false, replaced_at = null "
            "WHERE username = ? IF user_id = ? AND reserved_at = ? AND confirmed = ? AND replaced_at = ?",
            (user_id, now_ms, username, *expired),
        )
        return bool(rows[0].applied)

    async def confirm(self, username: str, user_id: int) -> None:
        """The event is in the log: the name is this person's, and the one that they go by."""
        await self._cassandra.execute(
            "UPDATE usernames SET confirmed = true, replaced_at = null WHERE username = ? IF user_id = ?",
            (username, user_id),
        )

    async def replace(self, username: str, user_id: int, now_ms: int) -> None:
        """Its owner goes by another name from now on."""
        await self._cassandra.execute(
            "UPDATE usernames SET confirmed = true, replaced_at = ? WHERE username = ? IF user_id = ?",
            (now_ms, username, user_id),
        )

    async def find(self, username: str) -> Name | None:
        """Whose ``username`` is, or was."""
        rows = await self._cassandra.execute(
            "SELECT user_id, reserved_at, confirmed, replaced_at FROM usernames WHERE username = ?", (username,)
        )
        return _name(rows[0]) if rows else None

    async def claim_likeness(self, skeleton: str, username: str, user_id: int, now_ms: int) -> Likeness:
        """Claim the look of ``username`` for ``user_id`` and return who has it now; one's own moves to the new name."""
        mine = Likeness(username, user_id, now_ms)
        rows = await self._cassandra.execute(
            "INSERT INTO username_skeletons (skeleton, username, user_id, reserved_at) VALUES (?, ?, ?, ?) "
            "IF NOT EXISTS",
            (skeleton, *mine),
        )
        if rows[0].applied:
            return mine
        held = Likeness(rows[0].username, rows[0].user_id, rows[0].reserved_at)
        if held.user_id == user_id and held.username != username:
            await self.take_likeness(skeleton, held, username, user_id, now_ms)
        return held

    async def take_likeness(self, skeleton: str, held: Likeness, username: str, user_id: int, now_ms: int) -> bool:
        """Take the look of a name that nobody holds any more; False if somebody was quicker."""
        rows = await self._cassandra.execute(
            "UPDATE username_skeletons SET username = ?, user_id = ?, reserved_at = ? WHERE skeleton = ? "
            "IF username = ? AND user_id = ? AND reserved_at = ?",
            (username, user_id, now_ms, skeleton, *held),
        )
        return bool(rows[0].applied)


def _name(row: Name) -> Name:
    return Name(row.user_id, row.reserved_at, bool(row.confirmed), row.replaced_at)
