"""Cassandra as the rest of Shutterlog sees it: awaitable statements, and one exception for "away".

The driver works with threads and callbacks. Here each of its futures becomes an asyncio one, what blocks (connecting,
preparing, closing) runs in a thread of this object, and every failure that time can heal becomes ``StoreAway``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Self, TypeAlias

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster, ResponseFuture, Session
from cassandra.query import BatchStatement, BatchType, PreparedStatement, SimpleStatement

from sinks.beside import beside
from sinks.cassandra_driver import AWAY, KeyspaceMissing, Row, mapped, open_session
from sinks.errors import StoreAway
from sinks.settings import Settings

__all__ = [
    "ALL",
    "LOCAL_ONE",
    "LOCAL_QUORUM",
    "Cassandra",
    "KeyspaceMissing",
    "Row",
    "Statement",
    "in_chunks",
    "together",
]

Statement: TypeAlias = tuple[str, Sequence[object]]
"""CQL with ``?`` for its parameters, and the parameters."""

LOCAL_QUORUM: int = ConsistencyLevel.LOCAL_QUORUM
LOCAL_ONE: int = ConsistencyLevel.LOCAL_ONE
ALL: int = ConsistencyLevel.ALL
"""Answered only where every node that has the row is there."""

logger = logging.getLogger(__name__)
PAGE_ROWS = 5000
KEYS_IN = 100
"""Partition keys in one ``IN``: one coordinator gathers them all."""
_LOOK_SECONDS, _PROBE_SECONDS = 0.25, 2.0


class Cassandra:
    """One session on one keyspace, bound to the event loop it was connected on. Safe for any number of tasks.

    Every method raises ``StoreAway`` when Cassandra cannot answer now. What a statement did is then unknown; all
    statements of views carry their own timestamps, so they can be sent again.
    """

    def __init__(
        self, cluster: Cluster, session: Session, threads: ThreadPoolExecutor, *, replicas: int, concurrency: int
    ) -> None:
        """Use ``connect``. ``replicas``: of each row of the keyspace; ``concurrency``: bound of requests in flight."""
        self.keyspace: str = session.keyspace
        self._replicas = replicas
        self._cluster = cluster
        self._session = session
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._in_flight = asyncio.Semaphore(concurrency)
        self._prepared: dict[str, PreparedStatement] = {}
        self._preparing = asyncio.Lock()
        self._closed = False
        self._waiting: set[asyncio.Future[list[Row]]] = set()
        self.answers = 0
        """How many statements were answered so far, refusals among them."""
        self._away = False

    @classmethod
    async def connect(
        cls,
        settings: Settings,
        *,
        create_keyspace: bool = False,
        request_seconds: float = 10.0,
        concurrency: int = 128,
        consistency: int = LOCAL_QUORUM,
    ) -> Self:
        """Connect to ``settings.cassandra_hosts``; ``consistency`` holds where a statement brings none.

        Raises ``StoreAway``, and ``KeyspaceMissing`` unless ``create_keyspace``.
        """
        threads = ThreadPoolExecutor(1, thread_name_prefix="cassandra")
        opening = partial(open_session, settings, create_keyspace, request_seconds, consistency)
        try:
            cluster, session, replicas = await asyncio.get_running_loop().run_in_executor(threads, opening)
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return cls(cluster, session, threads, replicas=replicas, concurrency=concurrency)

    @property
    def on_every_node(self) -> bool:
        """Whether each node holds each row, as far as is known now: then a batch may span partitions at no cost."""
        return len(self._cluster.metadata.all_hosts()) <= self._replicas

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def execute(self, cql: str, params: Sequence[object] = (), *, consistency: int | None = None) -> list[Row]:
        """All rows of one statement, prepared once and kept. A conditional one answers one row with ``applied``."""
        rows: list[Row] = []
        async for page in self.pages(cql, params, consistency=consistency):
            rows.extend(page)
        return rows

    async def pages(
        self, cql: str, params: Sequence[object] = (), *, consistency: int | None = None, page_rows: int = PAGE_ROWS
    ) -> AsyncIterator[list[Row]]:
        """The rows of one statement, page by page: for scans that are larger than memory should hold."""
        bound = (await self._prepare(cql)).bind(params)
        bound.fetch_size = page_rows
        if consistency is not None:
            bound.consistency_level = consistency
        self._check()
        async with self._in_flight:
            answer = _Answer(self)
            page = await answer.first(self._session, bound)
        yield page
        while answer.has_more:
            async with self._in_flight:
                page = await answer.next()
            yield page

    async def apply_batch(self, statements: Iterable[Statement], *, consistency: int | None = None) -> None:
        """Apply statements as one unlogged batch: one round trip. On ONE partition it is atomic and isolated.

        Several partitions in it are fair only where they live together (``on_every_node``), and are not atomic.
        Cassandra refuses batches above its ``batch_size_fail_threshold``, 50 KiB unless configured.
        """
        batch = BatchStatement(BatchType.UNLOGGED, consistency_level=consistency)
        for cql, params in statements:
            batch.add(self._prepared.get(cql) or await self._prepare(cql), params)
        self._check()
        async with self._in_flight:
            await _Answer(self).first(self._session, batch)

    async def execute_each(self, statements: Iterable[Statement], *, consistency: int | None = None) -> list[list[Row]]:
        """Execute statements concurrently, within the bound; answers in the order of ``statements``.

        Waits for all of them even if one fails, then raises the first failure: nothing is left running.
        """
        return await together(self.execute(cql, params, consistency=consistency) for cql, params in statements)

    async def change_schema(self, cql: str) -> None:
        """Execute one unprepared statement without parameters (DDL, TRUNCATE) and wait until the nodes agree on it."""
        async with self._in_flight:
            await _Answer(self).first(self._session, SimpleStatement(cql), timeout=60.0)

    @asynccontextmanager
    async def watching(self, seconds: float = 3.0) -> AsyncIterator[None]:
        """Inside the block, nobody waits for a Cassandra that takes statements and answers none: once it has been
        silent for ``seconds`` and does not answer a probe either, all who wait get ``StoreAway``, and so do others at
        once, until it answers."""
        async with beside(self._watch(max(1, round(seconds / _LOOK_SECONDS)))):
            yield

    async def _watch(self, most: int) -> None:
        # Looks are counted, not seconds: where this process itself stood still, nobody was silent.
        answered = quiet = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            quiet = quiet + 1 if self._waiting and self.answers == answered else 0
            answered = self.answers
            if quiet < most or await self._answers():
                continue
            logger.warning("Cassandra is silent, and not asked until it answers")
            self._away = True
            for waiting in list(self._waiting):
                _settle(waiting, asyncio.Future.set_exception, StoreAway("Cassandra is silent"))
            while not await self._answers():
                await asyncio.sleep(_LOOK_SECONDS)
            self._away = False
            logger.info("Cassandra answers again")

    async def _answers(self) -> bool:
        probe = SimpleStatement("SELECT release_version FROM system.local")
        try:
            await _Answer(self).first(self._session, probe, timeout=_PROBE_SECONDS)
        except StoreAway:
            return False
        except Exception:  # a refusal is an answer, and this watch never ends for one
            logger.exception("Cassandra refused a probe")
        return True

    def _check(self) -> None:
        if self._away:
            raise StoreAway("Cassandra was silent a moment ago")

    async def close(self) -> None:
        """Close connections and end this object's threads. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._loop.run_in_executor(self._threads, self._cluster.shutdown)
            self._threads.shutdown(wait=True)

    async def _prepare(self, cql: str) -> PreparedStatement:
        kept = self._prepared.get(cql)
        if kept is not None:
            return kept
        self._check()
        async with self._preparing:
            self._check()
            if cql not in self._prepared:
                prepare = partial(mapped, partial(self._session.prepare, cql))
                self._prepared[cql] = await self._loop.run_in_executor(self._threads, prepare)
        return self._prepared[cql]


async def together(calls: Iterable[Any]) -> list[Any]:
    """Await ``calls`` concurrently; all have ended when the first failure, if any, is raised."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers


async def in_chunks(
    cassandra: Cassandra, cql: str, keys: Collection[int] | Collection[str], *params: object
) -> list[Row]:
    """All rows of ``cql``: its first hole is an ``IN ?`` over the partition keys ``keys``, ``params`` fill the others.

    One round trip for up to ``KEYS_IN`` keys, concurrent ones for more. No order between rows of different keys.
    """
    distinct = list(dict.fromkeys(keys))
    chunks = [distinct[n : n + KEYS_IN] for n in range(0, len(distinct), KEYS_IN)]
    answers = await cassandra.execute_each((cql, (chunk, *params)) for chunk in chunks)
    return [row for rows in answers for row in rows]


class _Answer:
    """One driver future, seen from the event loop."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra
        self._loop = cassandra._loop
        self._waiting: asyncio.Future[list[Row]]
        self._response: ResponseFuture

    @property
    def has_more(self) -> bool:
        return bool(self._response.has_more_pages)

    async def first(self, session: Session, statement: object, timeout: float | None = None) -> list[Row]:
        self._waiting = self._loop.create_future()
        limit = {} if timeout is None else {"timeout": timeout}
        self._response = mapped(partial(session.execute_async, statement, **limit))
        self._response.add_callbacks(self._came, self._failed)
        return await self._page()

    async def next(self) -> list[Row]:
        self._waiting = self._loop.create_future()
        mapped(self._response.start_fetching_next_page)
        return await self._page()

    async def _page(self) -> list[Row]:
        waiting = self._cassandra._waiting
        waiting.add(self._waiting)
        try:
            return await self._waiting
        except AWAY as error:
            raise StoreAway(f"Cassandra: {error}") from error
        finally:
            waiting.discard(self._waiting)

    # The two below run in the driver's thread.

    def _came(self, rows: list[Row] | None) -> None:
        self._cassandra.answers += 1
        self._tell(self._waiting, asyncio.Future.set_result, rows or [])

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, AWAY):
            self._cassandra.answers += 1
        self._tell(self._waiting, asyncio.Future.set_exception, error)

    def _tell(self, waiting: asyncio.Future[list[Row]], settle: Callable[..., None], outcome: object) -> None:
        with suppress(RuntimeError):  # the event loop has closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, waiting, settle, outcome)


def _settle(waiting: asyncio.Future[list[Row]], settle: Callable[..., None], outcome: object) -> None:
    if not waiting.done():  # cancelled meanwhile
        settle(waiting, outcome)
