"""What lets a person in, besides their sessions: in Cassandra only and never in the log."""

from __future__ import annotations

from typing import NamedTuple

from sinks.cassandra import Cassandra


class Credential(NamedTuple):
    """A person's password hash, the consistency token of their last profile event, and whether they went away."""

    password_hash: str
    profile_token: str | None
    deactivated: bool = False


class Credentials:
    """Password hashes by person. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def find(self, user_id: int) -> Credential | None:
        """None for people without a password, such as those that a simulation registered."""
        rows = await self._cassandra.execute(
            "SELECT password_hash, profile_token, deactivated FROM credentials WHERE user_id = ?", (user_id,)
        )
        if not rows or rows[0].password_hash is None:
            return None
        return Credential(rows[0].password_hash, rows[0].profile_token, bool(rows[0].deactivated))

    async def set_password(self, user_id: int, password_hash: str) -> None:
        """Set or replace the hash."""
        await self._cassandra.execute(
            "UPDATE credentials SET password_hash = ? WHERE user_id = ?", (password_hash, user_id)
        )

    async def set_deactivated(self, user_id: int, deactivated: bool) -> None:
        """Remember whether the person went away, for their next login: the view may not know of it yet."""
        await self._cassandra.execute(
            "UPDATE credentials SET deactivated = ? WHERE user_id = ?", (deactivated, user_id)
        )

    async def remove(self, user_id: int) -> None:
        """Let nobody in as this person any more."""
        await self._cassandra.execute("DELETE FROM credentials WHERE user_id = ?", (user_id,))

    async def set_profile_token(self, user_id: int, token: str) -> None:
        """Remember up to where a view has to be for this person to see their own profile."""
        await self._cassandra.execute("UPDATE credentials SET profile_token = ? WHERE user_id = ?", (token, user_id))

    async def profile_token(self, user_id: int) -> str | None:
        """What ``set_profile_token`` remembered."""
        rows = await self._cassandra.execute("SELECT profile_token FROM credentials WHERE user_id = ?", (user_id,))
        return rows[0].profile_token if rows else None
