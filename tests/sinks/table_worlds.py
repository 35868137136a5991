"""Where the contract of table sinks is tried: in memory, and in a real Cassandra."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from sinks.cassandra import Cassandra, Statement
from sinks.sink import Sink
from sinks.tables import TableSink
from sinks.view_tables import TABLES, table_name
from streams.views import Delete, Upsert
from tests.sinks.memory_tables_sink import Fences, MemoryTablesSink, _go_on
from tests.streams.memory_tables import MemoryTables

VIEW = "follows"
TOPIC_IDS = {"graph": "graph-1"}
Hook = Callable[[], Awaitable[None]]


class World(Protocol):
    """One store, any number of workers."""

    def sink(self, topic_ids: Mapping[str, str] = TOPIC_IDS, before_write: Hook = _go_on) -> Sink[Upsert | Delete]:
        """A worker's sink of the view ``follows``; ``before_write`` is awaited before each step that writes."""

    async def rows(self) -> list[dict[str, Any]]:
        """The rows of ``followers``, sorted."""

    async def lose_fences(self) -> None:
        """The store forgets all fences."""

    def without(self, rule: str) -> World:
        """The same kind of store, empty, with one rule taken out."""


class MemoryWorld:
    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self._tables = MemoryTables(without)
        self._held: Fences = {}
        self._without = without

    def sink(self, topic_ids: Mapping[str, str] = TOPIC_IDS, before_write: Hook = _go_on) -> Sink[Upsert | Delete]:
        return MemoryTablesSink(self._tables, self._held, topic_ids, before_write=before_write, without=self._without)

    async def rows(self) -> list[dict[str, Any]]:
        return _sorted(self._tables.rows("followers"))

    async def lose_fences(self) -> None:
        self._held.clear()

    def without(self, rule: str) -> World:
        return MemoryWorld(self._without | {rule})


class CassandraWorld:
    def __init__(self, cassandra: Cassandra, timestamps: bool = True) -> None:
        self._cassandra = cassandra
        self._timestamps = timestamps

    def sink(self, topic_ids: Mapping[str, str] = TOPIC_IDS, before_write: Hook = _go_on) -> Sink[Upsert | Delete]:
        hooked = _Hooked(self._cassandra, before_write, self._timestamps)
        return TableSink(hooked, VIEW, 1, topic_ids)  # type: ignore[arg-type]

    async def rows(self) -> list[dict[str, Any]]:
        rows = await self._cassandra.execute(
            f"SELECT {', '.join(TABLES['followers'].key)}, followed_at FROM {table_name('followers', 1)}"  # noqa: S608
        )
        return _sorted([row._asdict() for row in rows])

    async def lose_fences(self) -> None:
        await self._cassandra.change_schema("TRUNCATE fences")

    def without(self, rule: str) -> World:
        assert rule == "timestamps"
        return CassandraWorld(self._cassandra, timestamps=False)


class _Hooked:
    """A Cassandra that can be stopped before a batch. Each partition has its own batch, as in a larger cluster."""

    on_every_node = False

    def __init__(self, cassandra: Cassandra, before_write: Hook, timestamps: bool) -> None:
        self._cassandra = cassandra
        self._before_write = before_write
        self._timestamps = timestamps

    async def apply_batch(self, statements: Iterable[Statement], **options: Any) -> None:
        await self._before_write()
        statements = statements if self._timestamps else map(_unstamped, statements)
        await self._cassandra.apply_batch(statements, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cassandra, name)


def _unstamped(statement: Statement) -> Statement:
    cql, params = statement
    return cql.replace(" USING TIMESTAMP ?", ""), params[:-1] if cql.startswith("INSERT") else params[1:]


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["followee_id"], row["follower_id"]))
