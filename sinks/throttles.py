"""Token buckets in Redis, so that all gateways count together. They run on Redis's clock."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from sinks.redis import Redis, reaching_redis


class Allowance(NamedTuple):
    """``burst`` tokens at most, ``per_second`` new ones each second."""

    burst: int
    per_second: float


class Throttles:
    """Buckets by name. Raises ``StoreAway``: callers decide what an absent Redis means to them."""

    def __init__(self, redis: Redis, *, prefix: str = "") -> None:
        self._redis = redis
        self._prefix = prefix
        self._take = redis.register_script(files("sinks.lua").joinpath("take_token.lua").read_text())

    async def take(self, bucket: str, allowance: Allowance) -> float:
        """Take one token; 0, or the seconds until there is one."""
        async with reaching_redis():
            wait = await self._take(keys=[self._key(bucket)], args=[allowance.burst, allowance.per_second])
        return int(wait) / 1000

    async def forgive(self, bucket: str) -> None:
        """Fill the bucket again."""
        async with reaching_redis():
            await self._redis.delete(self._key(bucket))

    def _key(self, bucket: str) -> str:
        return f"{self._prefix}throttle:{bucket}"
