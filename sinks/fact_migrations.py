"""The tables of facts brought up to this build's schemas: made, or given the columns that are missing. Never less. And
the view of what stands, as this build says it.

Each change is a row of ``migrations``, under the version of the schemas that asked for it: the highest id in their
lock. An older build goes on writing to a table that a newer one has widened, as it names its columns.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any

from schemas.lock import locked
from sinks.clickhouse import ClickHouse
from sinks.fact_tables import META, TIME, FactTable, definition, fact_tables
from sinks.fact_views import STANDING, standing, view_of

FENCES = (
    "CREATE TABLE IF NOT EXISTS fences (generation UInt32, topic LowCardinality(String), partition UInt16, "
    "topic_id String, applied Int64, last_row Int64) ENGINE = ReplacingMergeTree(applied) "
    "ORDER BY (generation, topic, partition, topic_id)"
)
MIGRATIONS = (
    f"CREATE TABLE IF NOT EXISTS migrations (version UInt32, generation UInt32, change String, made_at {TIME}) "
    "ENGINE = MergeTree ORDER BY (generation, version)"
)
_COLUMNS = "SELECT table, name, type FROM system.columns WHERE database = {database:String}"
_VIEWS = "SELECT name, comment FROM system.tables WHERE database = {database:String} AND engine = 'View'"


class TablesUnfit(Exception):
    """A column has another type than this build's schemas give it: the table has to be built anew."""


async def migrate(clickhouse: ClickHouse, generation: int) -> list[str]:
    """Bring the tables of ``generation`` up to date; the statements that were needed. Idempotent.

    Raises ``StoreAway`` and ``TablesUnfit``.
    """
    await clickhouse.command(FENCES)
    await clickhouse.command(MIGRATIONS)
    there: dict[str, dict[str, str]] = {}
    for table, name, kind in await clickhouse.query(_COLUMNS, {"database": clickhouse.database}):
        there.setdefault(table, {})[name] = kind
    changes = [
        change
        for table in fact_tables().values()
        for change in _changes(table, generation, there.get(table.name(generation)))
    ]
    select = standing(generation)
    if (await _marks(clickhouse)).get(view_of(generation)) != _mark(select):
        changes.append(_view(view_of(generation), select))
    for change in changes:
        await clickhouse.command(change)
    if changes:
        count = len(changes)
        now, version = time.time_ns() // 1_000_000, max(locked().by_id)
        columns: list[list[Any]] = [[version] * count, [generation] * count, changes, [now] * count]
        names, types = ("version", "generation", "change", "made_at"), ("UInt32", "UInt32", "String", TIME)
        await clickhouse.insert("migrations", names, types, columns)
    return changes


async def show(clickhouse: ClickHouse, generation: int) -> None:
    """Let the views of analysts read ``generation``. Idempotent; raises ``StoreAway``."""
    there = await _marks(clickhouse)
    views = [view for table in fact_tables().values() for view in table.views(generation)]
    for name, select in (*views, (STANDING, standing(generation))):
        if there.get(name) != _mark(select):
            await clickhouse.command(_view(name, select))


async def drop(clickhouse: ClickHouse, generation: int) -> list[str]:
    """Remove the tables of one generation and its fences; their names. Idempotent; raises ``StoreAway``."""
    names = [table.name(generation) for table in fact_tables().values()]
    await clickhouse.command(f"DROP VIEW IF EXISTS {view_of(generation)} SYNC")
    for name in names:
        await clickhouse.command(f"DROP TABLE IF EXISTS {name} SYNC")
    await clickhouse.command(FENCES)
    await clickhouse.command(f"DELETE FROM fences WHERE generation = {int(generation)}")  # noqa: S608 (a number)
    return names


async def disk_bytes(clickhouse: ClickHouse, generation: int) -> int:
    """What the tables of one generation take on ClickHouse's disk. Raises ``StoreAway``."""
    names = [table.name(generation) for table in fact_tables().values()]
    ((count,),) = await clickhouse.query(
        "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} "
        "AND table IN {names:Array(String)}",
        {"database": clickhouse.database, "names": names},
    )
    return int(count)


async def _marks(clickhouse: ClickHouse) -> dict[str, str]:
    """What each view that there is was made of."""
    return {row[0]: row[1] for row in await clickhouse.query(_VIEWS, {"database": clickhouse.database})}


def _mark(select: str) -> str:
    return hashlib.sha256(select.encode()).hexdigest()[:16]


def _view(name: str, select: str) -> str:
    return f"CREATE OR REPLACE VIEW {name} AS {select} COMMENT '{_mark(select)}'"


def _changes(table: FactTable, generation: int, there: dict[str, str] | None) -> Iterator[str]:
    if there is None:
        yield table.ddl(generation)
        return
    before = META[-1].name
    for column in table.columns:
        known = there.get(column.name)
        if known is None:
            yield (f"ALTER TABLE {table.name(generation)} ADD COLUMN IF NOT EXISTS {definition(column)} AFTER {before}")
        elif known != column.type:
            raise TablesUnfit(
                f"{table.name(generation)}.{column.name} is {known}, and the schemas make it {column.type}: "
                "build a new generation with `shutterlog replay facts`"
            )
        before = column.name
