"""What lets a person in: password hashes and sessions, in Cassandra only and never in the log."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from sinks.cassandra import Cassandra


class Credential(NamedTuple):
    """A person's password hash, and the consistency token of their last profile event."""

    password_hash: str
    profile_token: str | None


class Credentials:
    """Password hashes by person. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def find(self, user_id: int) -> Credential | None:
        """None for people without a password, such as those that a simulation registered."""
        rows = await self._cassandra.execute(
            "SELECT password_hash, profile_token FROM credentials WHERE user_id = ?", (user_id,)
        )
        if not rows or rows[0].password_hash is None:
            return None
        return Credential(rows[0].password_hash, rows[0].profile_token)

    async def set_password(self, user_id: int, password_hash: str) -> None:
        """Set or replace the hash."""
        await self._cassandra.execute(
            "UPDATE credentials SET password_hash = ? WHERE user_id = ?", (password_hash, user_id)
        )

    async def set_profile_token(self, user_id: int, token: str) -> None:
        """Remember up to where a view has to be for this person to see their own profile."""
        await self._cassandra.execute("UPDATE credentials SET profile_token = ? WHERE user_id = ?", (token, user_id))

    async def profile_token(self, user_id: int) -> str | None:
        """What ``set_profile_token`` remembered."""
        rows = await self._cassandra.execute("SELECT profile_token FROM credentials WHERE user_id = ?", (user_id,))
        return rows[0].profile_token if rows else None


class Opened(NamedTuple):
    """A session and the one refresh token that is good for it: opaque, shown to the person once, stored hashed."""

    session_id: str
    user_id: int
    refresh_token: str


class RefreshTokenReused(Exception):
    """A refresh token came a second time: one of the two who hold it is a thief, so the session has ended."""


class Sessions:
    """Sessions with rotating refresh tokens of the form ``session.secret``. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra, *, seconds: int) -> None:
        """A session not refreshed for ``seconds`` ends."""
        self._cassandra = cassandra
        self._seconds = seconds

    async def open(self, user_id: int) -> Opened:
        """Begin a session."""
        opened = _token(secrets.token_urlsafe(16), user_id)
        await self._cassandra.execute(
            "INSERT INTO sessions (session_id, user_id, refresh_hash) VALUES (?, ?, ?) IF NOT EXISTS USING TTL ?",
            (opened.session_id, user_id, _hashed(opened.refresh_token), self._seconds),
        )
        return opened

    async def rotate(self, refresh_token: str) -> Opened | None:
        """Exchange a refresh token for the next one; None if it never was one, or if its session has ended.

        Raises ``RefreshTokenReused``.
        """
        session_id, separator, _ = refresh_token.partition(".")
        if not separator:
            return None
        rows = await self._cassandra.execute("SELECT user_id FROM sessions WHERE session_id = ?", (session_id,))
        if not rows or rows[0].user_id is None:
            return None
        opened = _token(session_id, rows[0].user_id)
        rows = await self._cassandra.execute(
            "UPDATE sessions USING TTL ? SET refresh_hash = ?, user_id = ? WHERE session_id = ? IF refresh_hash = ?",
            (self._seconds, _hashed(opened.refresh_token), opened.user_id, session_id, _hashed(refresh_token)),
        )
        if rows[0].applied:
            return opened
        await self.end(session_id)
        raise RefreshTokenReused

    async def end(self, session_id: str) -> None:
        """End a session; ending it twice is as good as once."""
        await self._cassandra.execute("DELETE FROM sessions WHERE session_id = ? IF EXISTS", (session_id,))


def _token(session_id: str, user_id: int) -> Opened:
    return Opened(session_id, user_id, f"{session_id}.{secrets.token_urlsafe(32)}")


def _hashed(refresh_token: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(refresh_token.encode()).digest()
