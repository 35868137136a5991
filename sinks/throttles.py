"""Token buckets in Redis, so that all gateways count together. They run on Redis's clock.

While Redis is away each gateway counts by itself: a limit then holds for each of them, and no write waits for Redis.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from typing import NamedTuple

from sinks.errors import StoreAway
from sinks.redis import Circuit, Redis

_REMEMBERED = 100_000
"""Buckets of one's own; the one that was used longest ago makes room."""


class Allowance(NamedTuple):
    """``burst`` tokens at most, ``per_second`` new ones each second."""

    burst: int
    per_second: float


class Spent(NamedTuple):
    """What came of taking a token: ``wait`` is 0, or the seconds until there is one; ``left`` whole tokens."""

    wait: float
    left: int


class Throttles:
    """Buckets by name."""

    def __init__(self, redis: Redis, *, prefix: str = "", circuit: Circuit | None = None) -> None:
        self._redis = redis
        self._prefix = prefix
        self._circuit = circuit or Circuit()
        self._own = OwnBuckets(time.monotonic)
        self._take = redis.register_script(files("sinks.lua").joinpath("take_token.lua").read_text())

    async def take(self, bucket: str, allowance: Allowance) -> float:
        """Take one token; 0, or the seconds until there is one."""
        return (await self.spend(bucket, allowance)).wait

    async def spend(self, bucket: str, allowance: Allowance) -> Spent:
        """Take one token, and say what is left."""
        try:
            async with self._circuit.reaching():
                wait, left = await self._take(keys=[self._key(bucket)], args=[allowance.burst, allowance.per_second])
        except StoreAway:
            return self._own.spend(bucket, allowance)
        return Spent(int(wait) / 1000, int(left))

    def spend_here(self, bucket: str, allowance: Allowance) -> Spent:
        """The same in this process alone: for what happens so often that a round trip for each would be felt."""
        return self._own.spend(bucket, allowance)

    async def give_back(self, bucket: str, allowance: Allowance) -> None:
        """Put one token back that was taken."""
        self._own.give_back(bucket, allowance)
        try:
            async with self._circuit.reaching():
                await self._take(keys=[self._key(bucket)], args=[allowance.burst, allowance.per_second, -1])
        except StoreAway:
            return  # as with ``forgive``

    async def remember(self, mark: str, seconds: int) -> None:
        """Let ``mark`` be known for ``seconds``; while Redis is away, not."""
        try:
            async with self._circuit.reaching():
                await self._redis.set(self._known(mark), b"", ex=seconds)
        except StoreAway:
            return

    async def remembers(self, mark: str) -> bool:
        """Whether ``mark`` is known; while Redis is away, nothing is."""
        try:
            async with self._circuit.reaching():
                return bool(await self._redis.exists(self._known(mark)))
        except StoreAway:
            return False

    async def forgive(self, bucket: str) -> None:
        """Fill the bucket again."""
        self._own.forgive(bucket)
        try:
            async with self._circuit.reaching():
                await self._redis.delete(self._key(bucket))
        except StoreAway:
            return  # who has just proved who they are is not refused for that

    def _key(self, bucket: str) -> str:
        return f"{self._prefix}throttle:{bucket}"

    def _known(self, mark: str) -> str:
        return f"{self._prefix}known:{mark}"


class OwnBuckets:
    """The same in this process alone. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, bucket: str, allowance: Allowance) -> float:
        """Take one token; 0, or the seconds until there is one."""
        return self.spend(bucket, allowance).wait

    def spend(self, bucket: str, allowance: Allowance) -> Spent:
        """Take one token, and say what is left."""
        now = self._clock()
        tokens, at = self._held.get(bucket, (float(allowance.burst), now))
        tokens = min(float(allowance.burst), tokens + (now - at) * allowance.per_second)
        wait = 0.0
        if tokens >= 1:
            tokens -= 1
        else:
            wait = math.ceil((1 - tokens) * 1000 / allowance.per_second) / 1000
        self._held[bucket] = (tokens, now)
        self._held.move_to_end(bucket)
        if len(self._held) > _REMEMBERED:
            self._held.popitem(last=False)
        return Spent(wait, int(tokens))

    def forgive(self, bucket: str) -> None:
        """Fill the bucket again."""
        self._held.pop(bucket, None)

    def give_back(self, bucket: str, allowance: Allowance) -> None:
        """Put one token back that was taken; a bucket that nothing was taken of stays full."""
        if bucket in self._held:
            tokens, at = self._held[bucket]
            self._held[bucket] = (min(float(allowance.burst), tokens + 1), at)
