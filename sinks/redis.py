"""Redis: one way to connect, and its failures as ``StoreAway``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)

from sinks.errors import StoreAway

Redis = redis.asyncio.Redis
AWAY = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, ClusterDownError, TryAgainError, OSError)


def connect(url: str, *, seconds: float = 5.0) -> Redis:
    """A client whose calls end within ``seconds``; it connects at the first call. Replies are bytes.

    The client never retries by itself: who calls knows whether a call may be repeated.
    """
    client: Redis = redis.asyncio.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return client


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
