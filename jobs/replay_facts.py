"""Two generations of facts: how many of each event in each partition, and a checksum over all that they say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping

from jobs.verify_differences import Differences
from sinks.clickhouse import ClickHouse
from sinks.fact_tables import META, FactTable, fact_tables

Group = tuple[str, int, str]
"""Topic, partition, event."""


class FactComparison:
    """Group by group, up to the offset that both generations hold: agents may be further in the live one."""

    def __init__(self, clickhouse: ClickHouse, was: int, new: int) -> None:
        self._clickhouse, self._was, self._new = clickhouse, was, new

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; what is checked are facts."""
        found = Differences()
        for table in fact_tables().values():
            told = found.checked
            await self._compare(found, table)
            moved(found.checked - told)
        return found

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``."""
        return await self.whole(lambda count: None)

    async def _compare(self, found: Differences, table: FactTable) -> None:
        ends = await self._ends(table, self._was), await self._ends(table, self._new)
        both = {partition: min(end[partition] for end in ends) for partition in ends[0].keys() & ends[1].keys()}
        was, new = await self._sums(table, self._was, both), await self._sums(table, self._new, both)
        for partition in ends[0].keys() ^ ends[1].keys():
            where = "live generation" if partition in ends[0] else "new one"
            found.add((table.topic, partition), f"{table.topic}-{partition}: only the {where} has facts")
        for group in was.keys() | new.keys():
            before, after = was.get(group, (0, 0)), new.get(group, (0, 0))
            found.checked += after[0]
            if before != after:
                topic, partition, event = group
                said = f"{before[0]:,} of {event} in the live generation and {after[0]:,} in the new one"
                unlike = "" if before[0] != after[0] else ", which do not say the same"
                found.add(group, f"{topic}-{partition}: {said}{unlike}")

    async def _ends(self, table: FactTable, generation: int) -> dict[int, int]:
        name = table.name(generation)
        rows = await self._clickhouse.query(f"SELECT _partition, max(_offset) FROM {name} GROUP BY _partition")  # noqa: S608
        return {row[0]: row[1] for row in rows}

    async def _sums(self, table: FactTable, generation: int, ends: Mapping[int, int]) -> dict[Group, tuple[int, int]]:
        columns = ", ".join(column.name for column in (*META, *table.columns))
        rows = await self._clickhouse.query(
            f"SELECT _partition, _event, count(), sum(cityHash64({columns})) FROM {table.name(generation)} "  # noqa: S608
            "WHERE _offset <= transform(_partition, {partitions:Array(UInt16)}, {ends:Array(Int64)}, -1) "
            "GROUP BY _partition, _event",
            {"partitions": list(ends), "ends": list(ends.values())},
        )
        return {(table.topic, partition, event): (count, total) for partition, event, count, total in rows}
