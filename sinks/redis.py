"""Redis, one or a cluster: one way to connect, and its failures as ``StoreAway``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from sinks.errors import StoreAway
from sinks.redis_addresses import is_cluster
from sinks.redis_cluster import RedisCluster
from sinks.redis_connections import Command, Redis, connect_one, exchange_with

__all__ = ["AWAY", "Circuit", "Redis", "RedisCluster", "connect", "exchange", "reaching_redis", "unrefused"]
AWAY = (ConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, ClusterDownError, TryAgainError, OSError)


def connect(url: str, *, seconds: float = 5.0) -> Redis:
    """A client whose calls end within ``seconds``; it connects at the first call. Replies are bytes.

    ``url`` is of one Redis, or of a cluster (``redis+cluster://host:port,host:port``). The client never repeats by
    itself what may have been done: who calls knows whether it may be.
    """
    return RedisCluster.at(url, seconds) if is_cluster(url) else connect_one(url, seconds)


async def exchange(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """The replies to ``commands``, as Redis words them, in one round trip; errors stand among them.

    A pipeline of redis-py does the same at three times the price: some 50 µs a command, here and not in Redis.
    In a cluster, what concerns one bucket is done in order; see ``RedisCluster.exchange``.
    """
    if isinstance(client, RedisCluster):
        return await client.exchange(commands)
    return await exchange_with(client, commands)


def unrefused(answers: list[Any]) -> list[Any]:
    """``answers``; raises the first error among them."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


@asynccontextmanager
async def reaching_redis() -> AsyncIterator[None]:
    """Turns every sign of an absent Redis inside the block into ``StoreAway``."""
    try:
        yield
    except AWAY as error:
        raise StoreAway(f"Redis cannot be reached: {error}") from error


class Circuit:
    """Spares callers the wait for a Redis that is away: after a failure nobody tries for a while but who watches it."""

    def __init__(self, *, rest_seconds: float = 2.0) -> None:
        self._rest = rest_seconds
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused now."""
        return time.monotonic() < self._until

    @asynccontextmanager
    async def reaching(self) -> AsyncIterator[None]:
        """Like ``reaching_redis``, and raises ``StoreAway`` at once while the circuit is open."""
        if self.is_open:
            raise StoreAway("Redis was away a moment ago")
        async with self.probing(closes=False):
            yield

    @asynccontextmanager
    async def probing(self, *, closes: bool = True) -> AsyncIterator[None]:
        """Tries whether or not the circuit is open. It is closed by the end of a block that reached Redis."""
        try:
            yield
        except AWAY as error:
            self._until = time.monotonic() + self._rest
            raise StoreAway(f"Redis cannot be reached: {error}") from error
        if closes:
            self._until = 0.0
