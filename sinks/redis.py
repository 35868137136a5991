"""Redis: one way to connect, and its failures as ``StoreAway``."""

from __future__ import annotations

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
