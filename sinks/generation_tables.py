"""One generation of a view in Cassandra, as a whole: two of them side by side, how large one is, and its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.replay_poison import PoisonBook
from sinks.scans import COLUMNS
from sinks.view_tables import TABLES, table_name, view_tables

Key = tuple[Any, ...]
"""Ids, and texts."""
_AT_ONCE = 500
_FORGET_FENCES = "DELETE FROM fences WHERE view_name = ? AND generation = ?"
_UNSIGNED = 2**64 - 1


class Pair(NamedTuple):
    """The row of one key in two generations, None where it is not there. Rows are key columns, then ``COLUMNS``."""

    key: Key
    one: Row | None
    other: Row | None


async def side_by_side(cassandra: Cassandra, table: str, one: int, other: int) -> AsyncIterator[Pair]:
    """Every row of ``table`` in both generations, matched while they are scanned in Cassandra's own order: a page of
    each is in memory. Raises ``StoreAway``."""
    left, right = _in_order(cassandra, table, one), _in_order(cassandra, table, other)
    a, b = await anext(left, None), await anext(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None  # noqa: S101 (one of both is there)
            yield Pair(a[1], a[2], None)
            a = await anext(left, None)
        elif a is None or b[0] < a[0]:
            yield Pair(b[1], None, b[2])
            b = await anext(right, None)
        else:
            yield Pair(a[1], a[2], b[2])
            a, b = await anext(left, None), await anext(right, None)


async def pairs(cassandra: Cassandra, table: str, one: int, other: int, keys: Sequence[Key]) -> AsyncIterator[Pair]:
    """The rows of ``keys`` in both generations. Raises ``StoreAway``."""
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        left, right = await _rows(cassandra, table, one, some), await _rows(cassandra, table, other, some)
        for key in some:
            yield Pair(key, left.get(key), right.get(key))


async def drop(cassandra: Cassandra, view: str, generation: int) -> list[str]:
    """Remove the tables of one generation, its fences, and what replay noted of it; the names of the tables.

    Idempotent. Its number is never to be used again. Raises ``StoreAway``.
    """
    tables = view_tables(generation, view)
    for table in tables:
        await cassandra.change_schema(f"DROP TABLE IF EXISTS {table}")
    await cassandra.execute(_FORGET_FENCES, (view, generation))
    await PoisonBook(cassandra, view, generation).forget()
    return tables


async def disk_bytes(cassandra: Cassandra, view: str, generation: int) -> int:
    """What the tables of one generation take on the disk of the node that answers, in steps of 1 MiB; what was not
    flushed yet is not in it. Raises ``StoreAway``."""
    cql = "SELECT mebibytes FROM system_views.disk_usage WHERE keyspace_name = ? AND table_name = ?"
    tables = view_tables(generation, view)
    answers = await cassandra.execute_each((cql, (cassandra.keyspace, table)) for table in tables)
    return sum(int(row.mebibytes) for rows in answers for row in rows) * 1024 * 1024


def _selected(table: str) -> str:
    return ", ".join((*TABLES[table].key, *COLUMNS[table]))


async def _in_order(cassandra: Cassandra, table: str, generation: int) -> AsyncIterator[tuple[Key, Key, Row]]:
    """(where the row stands in Cassandra's order, its key, the row): by token, then by the bytes of the partition key,
    then as the table is clustered."""
    width, sign = len(TABLES[table].key), -1 if TABLES[table].newest_first else 1
    names = f"token({TABLES[table].key[0]}), {_selected(table)}"
    cql = f"SELECT {names} FROM {table_name(table, generation)}"  # noqa: S608 (names of ours)
    async for page in cassandra.pages(cql):
        for token, *rest in page:
            row: Any = tuple(rest)
            key = row[:width]
            yield (token, _bytes_of(key[0]), *(sign * column for column in key[1:])), key, row


def _bytes_of(column: int | str) -> bytes:
    """A partition key as Cassandra keeps it."""
    return column.encode() if isinstance(column, str) else (column & _UNSIGNED).to_bytes(8, "big")


async def _rows(cassandra: Cassandra, table: str, generation: int, keys: Sequence[Key]) -> dict[Key, Row]:
    names = TABLES[table].key
    select = f"SELECT {_selected(table)} FROM {table_name(table, generation)}"  # noqa: S608 (names of ours)
    if len(names) == 1:
        rows = await in_chunks(cassandra, f"{select} WHERE {names[0]} IN ?", [key[0] for key in keys])
    else:
        where = " AND ".join(f"{name} = ?" for name in names)
        answers = await cassandra.execute_each((f"{select} WHERE {where}", key) for key in keys)
        rows = [row for answer in answers for row in answer]
    return {tuple(row[: len(names)]): tuple(row) for row in rows}
