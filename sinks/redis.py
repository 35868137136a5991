"""Redis: one way to connect, and its failures as ``StoreAway``."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import redis.asyncio
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPoolInterface
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from sinks.errors import StoreAway

Redis = redis.asyncio.Redis
AWAY = (ConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, ClusterDownError, TryAgainError, OSError)


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


async def replies(connection: AbstractConnection, count: int) -> list[Any]:
    """The replies to ``count`` commands that were sent; errors stand among them. Raises ``TimeoutError``."""
    answers: list[Any] = []
    # One time limit for all: with one for each, reading the replies took four times as long as the commands.
    try:
        async with asyncio.timeout(connection.socket_timeout):
            for _ in range(count):
                try:
                    answers.append(await connection.read_response(timeout=math.inf, disconnect_on_error=False))
                except ResponseError as error:
                    answers.append(error)
    except TimeoutError as error:
        raise TimeoutError(f"no answer to {count} commands in {connection.socket_timeout} s") from error
    return answers


async def exchange(client: Redis, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Any]:
    """The replies to ``commands``, as Redis words them, in one round trip; errors stand among them.

    A pipeline of redis-py does the same at three times the price: some 50 µs a command, here and not in Redis.
    """
    pool: ConnectionPoolInterface = client.connection_pool
    connection = await pool.get_connection()
    whole = False
    try:
        # hiredis's types know of commands of one word only.
        packed = b"".join(pack_command(cast(Any, command)) for command in commands)
        await connection.send_packed_command(packed, check_health=False)
        answers = await replies(connection, len(commands))
        whole = True
    finally:
        if not whole:  # replies may be under way that nobody will read
            await connection.disconnect(nowait=True)
        await pool.release(connection)
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
