"""The devices that a person lets notices be pushed to: in Cassandra only, sealed under the person's key.

A subscription is a credential and lives in the session in which it was made: once that has ended, by logging out, here
or everywhere, by another password or by going away, it is not used any more, and the next look removes it. Erasing a
person destroys the key, without which no endpoint can be read.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import blake2b
from typing import NamedTuple

from sinks.cassandra import Cassandra, in_chunks
from sinks.person_keys import PersonKeys
from sinks.sealing import Unreadable, seal, unseal
from sinks.sessions import Sessions
from sinks.web_push import BrowserKeys, from_base64url, to_base64url

DEVICES = 20
"""Subscriptions that one person may have."""


class Subscription(NamedTuple):
    """One device of one person; ``created_at`` in ms."""

    user_id: int
    subscription_id: int
    session_id: str
    created_at: int
    endpoint: str
    keys: BrowserKeys


class TooManyDevices(Exception):
    """A person has ``DEVICES`` subscriptions already."""


class PushSubscriptions:
    """Subscriptions by person. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra, keys: PersonKeys, sessions: Sessions) -> None:
        self._cassandra = cassandra
        self._keys = keys
        self._sessions = sessions

    async def add(
        self, user_id: int, session_id: str, endpoint: str, keys: BrowserKeys, key: bytes, now_ms: int
    ) -> Subscription:
        """Let notices be pushed to ``endpoint`` for as long as the session lasts; the same again changes the keys.

        ``key`` is the person's own. What this person had of the same device from another session goes. Raises
        ``TooManyDevices``.
        """
        number = _number(session_id, endpoint)
        others = [one for one in await self.of(user_id) if one.subscription_id != number]
        for one in others:
            if one.endpoint == endpoint:
                await self.remove(user_id, one.subscription_id)
        if sum(one.endpoint != endpoint for one in others) >= DEVICES:
            raise TooManyDevices
        said = {"endpoint": endpoint, "p256dh": to_base64url(keys.p256dh), "auth": to_base64url(keys.auth)}
        await self._cassandra.execute(
            "INSERT INTO push_subscriptions (user_id, subscription_id, session_id, sealed, created_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (user_id, number, session_id, seal(key, user_id, json.dumps(said)), now_ms),
        )
        return Subscription(user_id, number, session_id, now_ms, endpoint, keys)

    async def of(self, user_id: int) -> list[Subscription]:
        """Those whose session is open, by id; the others are removed."""
        rows = await self._cassandra.execute(
            "SELECT subscription_id, session_id, created_at, sealed FROM push_subscriptions WHERE user_id = ?",
            (user_id,),
        )
        key = (await self._keys.get_many([user_id])).get(user_id) if rows else None
        found = []
        for row in rows:
            read = _opened(key, user_id, row.sealed)
            if read is not None and await self._sessions.is_open(row.session_id):
                found.append(Subscription(user_id, row.subscription_id, row.session_id, row.created_at, *read))
            else:
                await self.remove(user_id, row.subscription_id)
        return found

    async def subscribed(self, user_ids: Collection[int]) -> set[int]:
        """Those of ``user_ids`` who have a subscription, or had one a moment ago."""
        asked = "SELECT user_id FROM push_subscriptions WHERE user_id IN ? PER PARTITION LIMIT 1"
        return {row.user_id for row in await in_chunks(self._cassandra, asked, user_ids)}

    async def remove(self, user_id: int, subscription_id: int) -> None:
        """Push nothing there any more; removing it twice is as good as once."""
        await self._cassandra.execute(
            "DELETE FROM push_subscriptions WHERE user_id = ? AND subscription_id = ?", (user_id, subscription_id)
        )


def _number(session_id: str, endpoint: str) -> int:
    """63 bits of a hash: those of one person, some twenty, never meet."""
    digest = blake2b(f"{session_id} {endpoint}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _opened(key: bytes | None, user_id: int, sealed: bytes) -> tuple[str, BrowserKeys] | None:
    if key is None:
        return None
    try:
        said = json.loads(unseal(key, user_id, sealed))
    except Unreadable:
        return None
    return said["endpoint"], BrowserKeys(from_base64url(said["p256dh"]), from_base64url(said["auth"]))
