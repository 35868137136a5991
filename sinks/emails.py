"""E-mail addresses and the tokens sent to them: in Cassandra only, sealed or hashed, never in the log.

An address is looked up by a keyed hash, so that a copy of the table cannot be tried out with a list of addresses.
Tokens are good once and for a time, and are stored hashed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal, NamedTuple

from sinks.cassandra import Cassandra

Purpose = Literal["verify", "reset"]
SECRET_BYTES = 32


class Sent(NamedTuple):
    """What a token that was sent by mail is good for: ``address`` is sealed under the key of ``user_id``."""

    user_id: int
    address: bytes


class Emails:
    """Verified addresses, and tokens. Every method that asks Cassandra raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra, secret: str) -> None:
        """Raises ``ValueError`` for a secret of fewer than 32 bytes, which could be guessed."""
        if len(secret.encode()) < SECRET_BYTES:
            raise ValueError(f"EMAIL_SECRET has to be set to at least {SECRET_BYTES} random bytes where mail is sent")
        self._cassandra = cassandra
        self._secret = secret.encode()

    def lookup(self, address: str) -> bytes:
        """What ``address`` is found by; the same however it is written in capitals."""
        return hmac.digest(self._secret, address.strip().casefold().encode(), hashlib.sha256)

    async def of(self, user_id: int) -> bytes | None:
        """A person's verified address, sealed."""
        rows = await self._cassandra.execute("SELECT email FROM credentials WHERE user_id = ?", (user_id,))
        return rows[0].email if rows else None

    async def owner(self, lookup: bytes) -> int | None:
        """Whose verified address it is."""
        rows = await self._cassandra.execute("SELECT user_id FROM email_owners WHERE lookup = ?", (lookup,))
        return rows[0].user_id if rows else None

    async def claim(self, lookup: bytes, user_id: int) -> bool:
        """Make a verified address this person's; False where it is somebody else's."""
        rows = await self._cassandra.execute(
            "INSERT INTO email_owners (lookup, user_id) VALUES (?, ?) IF NOT EXISTS", (lookup, user_id)
        )
        return bool(rows[0].applied) or rows[0].user_id == user_id

    async def set(self, user_id: int, address: bytes) -> None:
        """Set a person's verified address, sealed."""
        await self._cassandra.execute("UPDATE credentials SET email = ? WHERE user_id = ?", (address, user_id))

    async def release(self, lookup: bytes, user_id: int) -> None:
        """An address is no longer this person's."""
        await self._cassandra.execute("DELETE FROM email_owners WHERE lookup = ? IF user_id = ?", (lookup, user_id))

    async def make_token(self, purpose: Purpose, sent: Sent, seconds: int) -> str:
        """A new token, good once within ``seconds``."""
        token = secrets.token_urlsafe(32)
        await self._cassandra.execute(
            "INSERT INTO mail_tokens (token_hash, purpose, user_id, address) VALUES (?, ?, ?, ?) "
            "IF NOT EXISTS USING TTL ?",
            (_hashed(token), purpose, *sent, seconds),
        )
        return token

    async def take_token(self, purpose: Purpose, token: str) -> Sent | None:
        """What ``token`` is good for, once: None for one that was used, has expired, or is for another purpose."""
        key = _hashed(token)
        rows = await self._cassandra.execute(
            "SELECT purpose, user_id, address FROM mail_tokens WHERE token_hash = ?", (key,)
        )
        if not rows or rows[0].purpose != purpose:
            return None
        taken = await self._cassandra.execute("DELETE FROM mail_tokens WHERE token_hash = ? IF EXISTS", (key,))
        return Sent(rows[0].user_id, bytes(rows[0].address)) if taken[0].applied else None


def _hashed(token: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(token.encode()).digest()
