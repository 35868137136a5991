"""Ranked feeds while somebody turns their pages: kept in Redis for a while, so that any gateway goes on in them.

No view: what is lost here is only ranked anew. Keys: ``ranked:USER:LIST``, with the world's prefix before.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import msgspec

from sinks.redis import Circuit, Redis


class RankedList(NamedTuple):
    """A feed in the order in which a model put it. ``authors`` are those of ``posts``, place by place; below ``tail``
    the feed goes on in latest order (0: it does not)."""

    version: str
    tail: int
    posts: list[int]
    authors: list[int]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RankedList).decode


class RankedLists:
    """Lists by person and id. Every method raises ``StoreAway``."""

    def __init__(self, redis: Redis, circuit: Circuit, *, prefix: str, seconds: int) -> None:
        """Each list is kept for ``seconds`` after it was last written."""
        self._redis, self._circuit = redis, circuit
        self._prefix, self._seconds = prefix, seconds

    async def keep(self, user_id: int, list_id: int, ranked: RankedList) -> None:
        """Keep a list, or what has become of it."""
        async with self._circuit.reaching():
            await self._redis.set(self.key(user_id, list_id), _encode(ranked), ex=self._seconds)

    async def get(self, user_id: int, list_id: int) -> RankedList | None:
        """A list of this person's; None where there is none, or no longer."""
        async with self._circuit.reaching():
            held = cast(bytes | None, await self._redis.get(self.key(user_id, list_id)))
        return None if held is None else _decode(held)

    def key(self, user_id: int, list_id: int) -> str:
        """Where a list is."""
        return f"{self._prefix}ranked:{user_id}:{list_id}"
