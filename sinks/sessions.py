"""Sessions, in Cassandra only: refresh tokens that rotate, and whether a session is still open.

A session and all the tokens that were ever made in it are one family. It ends as a whole: by logging out, here or
everywhere, or because a refresh token came a second time. From then on its access tokens are refused too.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import NamedTuple

from sinks.cassandra import Cassandra, in_chunks
from sinks.errors import StoreAway

_REMEMBERED = 100_000
STANDING_SECONDS = 300.0
"""For so long what a gateway knows is gone on with while Cassandra is away."""


class Opened(NamedTuple):
    """A session and the one refresh token that is good for it: opaque, shown to the person once, stored hashed."""

    session_id: str
    user_id: int
    refresh_token: str


class SessionRow(NamedTuple):
    """A session as its owner sees it; times in ms, those of the first and the last refresh token."""

    session_id: str
    opened_at: int
    refreshed_at: int


class RefreshTokenReused(Exception):
    """A refresh token came a second time: one of the two who hold it is a thief, so the session has ended."""


class Sessions:
    """Sessions with refresh tokens of the form ``session.secret``. Every method raises ``StoreAway``."""

    def __init__(
        self,
        cassandra: Cassandra,
        *,
        seconds: int,
        check_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A session not refreshed for ``seconds`` ends. That one is open is believed for ``check_seconds``: for so long
        may another gateway take access tokens of a session that ended here."""
        self._cassandra = cassandra
        self._seconds = seconds
        self._check_seconds = check_seconds
        self._clock = clock
        self._seen_open: OrderedDict[str, float] = OrderedDict()

    async def open(self, user_id: int, now_ms: int) -> Opened:
        """Begin a session."""
        opened = _token(secrets.token_urlsafe(16), user_id)
        # Listed first: what is open can always be found, and ended.
        await self._list(opened, now_ms, now_ms)
        await self._cassandra.execute(
            "INSERT INTO sessions (session_id, user_id, refresh_hash, opened_at) VALUES (?, ?, ?, ?) "
            "IF NOT EXISTS USING TTL ?",
            (opened.session_id, user_id, _hashed(opened.refresh_token), now_ms, self._seconds),
        )
        return opened

    async def rotate(self, refresh_token: str, now_ms: int) -> Opened | None:
        """Exchange a refresh token for the next one; None if it never was one, or if its session has ended.

        Raises ``RefreshTokenReused``.
        """
        session_id, separator, _ = refresh_token.partition(".")
        if not separator:
            return None
        rows = await self._cassandra.execute(
            "SELECT user_id, opened_at FROM sessions WHERE session_id = ?", (session_id,)
        )
        if not rows or rows[0].user_id is None:
            return None
        opened, opened_at = _token(session_id, rows[0].user_id), rows[0].opened_at or 0
        await self._list(opened, opened_at, now_ms)
        rows = await self._cassandra.execute(
            "UPDATE sessions USING TTL ? SET refresh_hash = ?, user_id = ?, opened_at = ? WHERE session_id = ? "
            "IF refresh_hash = ?",
            (
                self._seconds,
                _hashed(opened.refresh_token),
                opened.user_id,
                opened_at,
                session_id,
                _hashed(refresh_token),
            ),
        )
        if rows[0].applied:
            return opened
        await self.end(session_id, opened.user_id)
        raise RefreshTokenReused

    async def _list(self, opened: Opened, opened_at: int, refreshed_at: int) -> None:
        await self._cassandra.execute(
            "INSERT INTO person_sessions (user_id, session_id, opened_at, refreshed_at) VALUES (?, ?, ?, ?) "
            "USING TTL ?",
            (opened.user_id, opened.session_id, opened_at, refreshed_at, self._seconds),
        )

    async def is_open(self, session_id: str) -> bool:
        """Whether the access tokens of this session are good: asked with every request, so remembered for a moment.

        While Cassandra is away nobody can end a session, and one that was open less than ``STANDING_SECONDS`` ago is
        believed to be so still."""
        try:
            return session_id in await self.open_among((session_id,))
        except StoreAway:
            seen = self._seen_open.get(session_id)
            if seen is None or self._clock() - seen > STANDING_SECONDS:
                raise
            return True

    async def open_among(self, session_ids: Collection[str]) -> set[str]:
        """Those of ``session_ids`` that are open, as ``is_open``, in one round trip."""
        asked, found = self._clock(), set[str]()
        for session_id in session_ids:
            seen = self._seen_open.get(session_id)
            if seen is not None and asked - seen < self._check_seconds:
                found.add(session_id)
        if not (missing := set(session_ids) - found):
            return found
        rows = await in_chunks(
            self._cassandra, "SELECT session_id, user_id FROM sessions WHERE session_id IN ?", missing
        )
        found |= (still := {row.session_id for row in rows if row.user_id is not None})
        for session_id in missing - still:
            self._seen_open.pop(session_id, None)
        for session_id in still:
            self._seen_open[session_id] = asked
            self._seen_open.move_to_end(session_id)
        while len(self._seen_open) > _REMEMBERED:
            self._seen_open.popitem(last=False)
        return found

    async def of(self, user_id: int) -> list[SessionRow]:
        """The sessions of a person, the newest last."""
        rows = await self._cassandra.execute(
            "SELECT session_id, opened_at, refreshed_at FROM person_sessions WHERE user_id = ?", (user_id,)
        )
        return sorted((SessionRow(*row) for row in rows), key=lambda row: row.opened_at)

    async def end(self, session_id: str, user_id: int) -> None:
        """End a session of this person; ending it twice is as good as once."""
        await self._cassandra.execute("DELETE FROM sessions WHERE session_id = ? IF EXISTS", (session_id,))
        self._seen_open.pop(session_id, None)
        await self._cassandra.execute(
            "DELETE FROM person_sessions WHERE user_id = ? AND session_id = ?", (user_id, session_id)
        )

    async def end_all(self, user_id: int, *, but: str | None = None) -> int:
        """End every session of this person (except ``but``) that was opened before; how many there were."""
        ended = [row.session_id for row in await self.of(user_id) if row.session_id != but]
        for session_id in ended:
            await self.end(session_id, user_id)
        return len(ended)


def _token(session_id: str, user_id: int) -> Opened:
    return Opened(session_id, user_id, f"{session_id}.{secrets.token_urlsafe(32)}")


def _hashed(refresh_token: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(refresh_token.encode()).digest()
