"""Tables in memory that resolve writes as Cassandra does: cell by cell, the later write time wins."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from streams.views import Delete, Upsert

Key = tuple[str, frozenset[tuple[str, Any]]]


@dataclass
class _Row:
    written: int = -1
    deleted: int = -1
    cells: dict[str, tuple[int, Any]] = field(default_factory=dict)


class MemoryTables:
    """Every table of every view. ``without={"timestamps"}`` lets the last to arrive win, as in a store of one's own."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self._rows: dict[Key, _Row] = {}
        self._deleted: list[tuple[str, AbstractSet[tuple[str, Any]], int]] = []
        """(table, the first columns of keys, when)."""
        self._without = without
        self._arrivals = 0

    def apply(self, writes: Iterable[Upsert | Delete]) -> None:
        """Apply ``writes`` in their order."""
        for write in writes:
            self._arrivals += 1
            at = self._arrivals if "timestamps" in self._without else write.mark.offset + 1
            if isinstance(write, Delete):
                self._deleted.append((write.table, write.key.items(), at))
                for (table, key), row in self._rows.items():
                    if table == write.table and write.key.items() <= key:
                        row.deleted = max(row.deleted, at)
                continue
            key = frozenset(write.key.items())
            row = self._rows.setdefault((write.table, key), _Row())
            for table, names, then in self._deleted:
                if table == write.table and names <= key:
                    row.deleted = max(row.deleted, then)
            row.written = max(row.written, at)
            for name, value in write.columns.items():
                if at >= row.cells.get(name, (-1, None))[0]:
                    row.cells[name] = (at, copy.deepcopy(value))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The living rows of ``table``, keys and set columns together, in no order."""
        found = []
        for (of, key), row in self._rows.items():
            cells = {n: value for n, (at, value) in row.cells.items() if at > row.deleted and value is not None}
            if of == table and (cells or row.written > row.deleted):
                found.append(dict(key) | cells)
        return found

    def snapshot(self) -> MemoryTables:
        """A copy of everything as it is now."""
        return copy.deepcopy(self)
