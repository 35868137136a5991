"""ClickHouse as the rest of Shutterlog sees it: awaitable statements over HTTP, and one exception for "away".

The driver blocks, so each call is made on one of this object's threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError

from sinks.errors import StoreAway
from sinks.settings import Settings

AWAY = frozenset({159, 202, 209, 210, 241, 242, 243, 252, 394, 439})
"""Codes of what time can heal: timeouts, too many queries or parts, no memory, no room, a table that is read-only
now."""
THREADS = 4

Row = tuple[Any, ...]
Result = TypeVar("Result")


class Unanswerable(Exception):
    """ClickHouse refused a statement of ours: a mistake in it, or in who asks. ``code`` is ClickHouse's."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code


_NO_TABLE = (60, 81)
"""ClickHouse's codes of tables and databases that there are not."""


class ClickHouse:
    """A client of one database. Safe for any number of tasks; an async context, which closes it.

    Every method raises ``StoreAway`` when ClickHouse cannot answer now: what a statement did is then unknown. Raises
    ``Unanswerable`` for what it will never take.
    """

    def __init__(self, client: Client, pool: Any, threads: ThreadPoolExecutor, database: str) -> None:
        """Use ``connect``."""
        self._client, self._pool, self._threads = client, pool, threads
        self.database = database

    @classmethod
    async def connect(cls, settings: Settings, *, make_database: bool = False, seconds: float = 60.0) -> Self:
        """Connect to ``settings.clickhouse_url``; ``seconds`` bounds each answer. ``make_database`` where it is
        missing."""
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="clickhouse")
        try:
            opening = partial(_opened, settings, make_database, seconds)
            client, pool = await asyncio.get_running_loop().run_in_executor(threads, _healed, opening)
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return cls(client, pool, threads, settings.clickhouse_database)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()
        self._pool.clear()

    async def query(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows that a SELECT gives; ``{name:Type}`` stands for a parameter."""
        result = await self._call(partial(self._client.query, text, parameters=dict(parameters or {})))
        return [tuple(row) for row in result.result_rows]

    async def query_facts(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """As ``query``, of the tables of facts, and ``StoreAway`` too where no agent has made them yet."""
        try:
            return await self.query(text, parameters)
        except Unanswerable as error:
            if error.code in _NO_TABLE:
                raise StoreAway("ClickHouse has no facts yet: its agent has not begun") from error
            raise

    async def command(self, text: str) -> None:
        """A statement without rows."""
        await self._call(partial(self._client.command, text))

    async def insert(
        self, table: str, names: Sequence[str], types: Sequence[str], columns: Sequence[Sequence[Any]], token: str = ""
    ) -> None:
        """Insert ``columns`` of equal length as one block, unless ``token`` is that of one of the last blocks."""
        settings: dict[str, Any] = {"max_insert_threads": 1, "async_insert": 0}
        if token:
            settings |= {"insert_deduplicate": 1, "insert_deduplication_token": token}
        await self._call(
            partial(
                self._client.insert,
                table,
                columns,
                column_names=list(names),
                column_type_names=list(types),
                column_oriented=True,
                settings=settings,
            )
        )

    async def _call(self, work: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _healed, work)
        except RuntimeError as error:  # after close
            raise StoreAway(f"ClickHouse: {error}") from error


def _healed(work: Callable[[], Result]) -> Result:
    """``work()``, with the driver's errors as ours."""
    try:
        return work()
    except OperationalError as error:
        raise StoreAway(f"ClickHouse: {error}") from error
    except DatabaseError as error:
        if error.code is None or error.code in AWAY:
            raise StoreAway(f"ClickHouse: {error}") from error
        raise Unanswerable(error.code, str(error)) from error
    except (ClickHouseError, HTTPError, OSError) as error:
        raise StoreAway(f"ClickHouse: {error}") from error


def guarded(settings: Settings) -> dict[str, Any]:
    """What the pool of connections is told of TLS; nothing for ``http://``, or where the system's CAs will do."""
    if urlsplit(settings.clickhouse_url).scheme != "https" or settings.stores_ca is None:
        return {}
    return {"ca_cert": str(settings.stores_ca)}


def _opened(settings: Settings, make_database: bool, seconds: float) -> tuple[Client, Any]:
    """A client, and the pool of its connections."""
    url = urlsplit(settings.clickhouse_url)
    pool = get_pool_manager(maxsize=THREADS, num_pools=1, **guarded(settings))
    database = settings.clickhouse_database
    given: dict[str, Any] = {
        "interface": url.scheme or "http",
        "host": url.hostname or "127.0.0.1",
        "port": url.port or (8443 if url.scheme == "https" else 8123),
        "username": url.username or settings.clickhouse_user,
        "password": url.password or settings.clickhouse_key,
        "pool_mgr": pool,
        "autogenerate_session_id": False,
        "query_retries": 0,
        "connect_timeout": 5,
        "send_receive_timeout": seconds,
        "compress": False,
    }
    if make_database:
        first = clickhouse_connect.get_client(**given)
        first.command(f"CREATE DATABASE IF NOT EXISTS `{database}`")
    return clickhouse_connect.get_client(**given, database=database), pool
