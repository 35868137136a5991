"""What the last edit of a post said, kept in Redis until the view surely holds it: an edit says whom it names anew
against what was said before, and two in a row are often faster than the view.

Kept only after the log has taken it, so that it is never ahead of the log. While Redis is away there is only the view.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sinks.errors import StoreAway
from sinks.redis import Circuit, Redis

KEPT_SECONDS = 300
"""A view that is further behind makes somebody be told twice, and nothing worse."""


class LastEdit(NamedTuple):
    """What an edit said, at its event time in ms."""

    at: int
    mentions: list[int]
    tagged: list[int]
    place: str


class LastEdits:
    """The last edits of posts, of all gateways together."""

    def __init__(self, redis: Redis, *, prefix: str, circuit: Circuit) -> None:
        self._redis, self._prefix, self._circuit = redis, prefix, circuit
        self._decode = msgspec.json.Decoder(LastEdit).decode

    async def of(self, post_id: int) -> LastEdit | None:
        """The last edit of a post, if it was lately."""
        try:
            async with self._circuit.reaching():
                kept = await self._redis.get(self._key(post_id))
        except StoreAway:
            return None
        return None if kept is None else self._decode(kept)

    async def keep(self, post_id: int, edit: LastEdit) -> None:
        """``edit`` is in the log."""
        try:
            async with self._circuit.reaching():
                await self._redis.set(self._key(post_id), msgspec.json.encode(edit), ex=KEPT_SECONDS)
        except StoreAway:
            return

    def _key(self, post_id: int) -> str:
        return f"{self._prefix}edited:{post_id}"
