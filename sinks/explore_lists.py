"""Each person's list of what to explore, kept in Redis for a while, so that all gateways show the same."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from sinks.redis import Circuit, Redis

PAGED_SECONDS = 1800
"""For so long can the further pages of a list be asked for, once there is a newer one."""
_UNFIT_SECONDS = 15.0
"""For so long is a list the current one that goes without a source."""


class Listed(NamedTuple):
    """A list: when it was made (ms), its posts with their reasons (post, source, people), the sources that it goes
    without, the model that was (version and ms; empty and 0 for none), and whether a store was away."""

    made_at: int
    picks: list[tuple[int, str, int]]
    missing: list[str]
    model: str = ""
    trained_at: int = 0
    retry: bool = False


_decode = msgspec.msgpack.Decoder(Listed).decode
_encode = msgspec.msgpack.Encoder().encode


class ExploreLists:
    """Lists by person. Every method raises ``StoreAway``."""

    def __init__(self, redis: Redis, circuit: Circuit, *, prefix: str, seconds: float) -> None:
        """``seconds``: how long a list is the current one."""
        self._redis, self._circuit, self._prefix, self._seconds = redis, circuit, prefix, seconds

    async def current(self, user_id: int) -> Listed | None:
        """The current list; None where there is none any more."""
        return await self._get(self._key(user_id))

    async def made_at(self, user_id: int, seconds: int) -> Listed | None:
        """The list made in that second since 1970; None where it is gone."""
        return await self._get(f"{self._key(user_id)}:{seconds}")

    async def keep(self, user_id: int, made: Listed) -> Listed:
        """Make it the current list, unless there is one meanwhile; whichever is. One that goes without a source that
        comes back is soon made anew."""
        key = self._key(user_id)
        seconds = min(self._seconds, _UNFIT_SECONDS) if made.retry else self._seconds
        async with self._circuit.reaching():
            fresh = await self._redis.set(key, _encode(made), px=max(int(seconds * 1000), 1), nx=True)
            if fresh:
                await self._redis.set(f"{key}:{made.made_at // 1000}", _encode(made), ex=PAGED_SECONDS)
        return made if fresh else await self.current(user_id) or made

    def _key(self, user_id: int) -> str:
        return f"{self._prefix}explore:{user_id}"

    async def _get(self, key: str) -> Listed | None:
        async with self._circuit.reaching():
            held: Any = await self._redis.get(key)
        return None if held is None else _decode(held)
