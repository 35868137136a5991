"""One Redis: how to connect to it, and how to say many commands at once. ``sinks/redis.py`` is what others use."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import redis.asyncio
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPoolInterface
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Redis = redis.asyncio.Redis
Command = Sequence[str | bytes | int | float]


def connect_one(url: str, seconds: float, kind: type[Redis] = Redis) -> Redis:
    """A client of the one Redis at ``url``; see ``sinks.redis.connect``."""
    client: Redis = kind.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_Cancellable, pool.connection_class), {})
    return client


class _Cancellable(AbstractConnection):
    """A connection that can be cancelled while it sends. redis-py sends under `wait_for`, which in Python 3.11 loses a
    cancellation that comes at the moment in which all is sent, and costs a task each time."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        seconds, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(seconds):
                await super().send_packed_command(command, check_health)
        except TimeoutError as error:
            raise RedisTimeoutError(f"nothing could be sent in {seconds} s") from error
        finally:
            self.socket_timeout = seconds


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


async def exchange_with(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """The replies to ``commands``, as this Redis words them, in one round trip; errors stand among them."""
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
