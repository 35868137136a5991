"""All keys of one generation of a view in Redis: to measure it, to end it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from sinks.redis import Redis, reaching_redis

_SCANNED = 5000
_PIPELINED = 500
_MEASURED = 1000
"""Keys whose memory is asked for; of more, so many are drawn."""


class Size(NamedTuple):
    """``exact`` where every key was asked; else the mean of a sample, times ``keys``."""

    keys: int
    bytes: int
    exact: bool


class GenerationKeys:
    """Whatever begins with ``prefix``, then its bucket in braces."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def size(self) -> Size:
        """What it takes in memory. Raises ``StoreAway``."""
        drawn: list[bytes] = []
        keys = 0
        chance = random.Random(1)  # noqa: S311
        async for key in self._keys():
            keys += 1
            if len(drawn) < _MEASURED:
                drawn.append(key)
            elif (place := chance.randrange(keys)) < _MEASURED:
                drawn[place] = key
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for key in drawn:
                pipeline.memory_usage(key, samples=5)
            taken = sum(filter(None, await pipeline.execute()))
        return Size(keys, round(taken * keys / len(drawn)) if drawn else 0, keys == len(drawn))

    async def unlink(self) -> int:
        """Remove everything, in batches that hold Redis up for a moment each; how many keys. Raises ``StoreAway``."""
        removed = 0
        async with reaching_redis():
            found: list[bytes] = []
            async for key in self._keys():
                found.append(key)
                if len(found) == _PIPELINED:
                    removed += await self._unlink(found)
                    found = []
            return removed + await self._unlink(found)

    async def _unlink(self, keys: Sequence[bytes]) -> int:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.unlink(key)
        return sum(await pipeline.execute())

    async def _keys(self) -> AsyncIterator[bytes]:
        seen: set[bytes] = set()  # SCAN may give a key twice while a table grows
        async with reaching_redis():
            async for key in self._redis.scan_iter(match=f"{self._prefix}{{*}}:*", count=_SCANNED):
                if key not in seen:
                    seen.add(key)
                    yield key
