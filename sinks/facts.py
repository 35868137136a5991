"""The sink of facts: rows in ClickHouse, each event once, whatever is killed, delivered again, or taken away.

A block is rows of one partition, one month and one table, so that ClickHouse makes it one part: there, or not. Its
token says table, partition and first offset, so of several inserts that begin at one offset (one that was given up
and ends late; one of a zombie's) the first to arrive is the only one. And before each insert the highest offset in
the table must be the last row of the one before: where it is not, rows are missing, or another worker is further, and
the source goes back to what is there.

The fence of a partition is the highest offset among its rows. Records without a row (poison, markers of transactions)
come after it now and then; then a row of ``fences`` says up to where it counts. Such a row says something of the log
alone ("no row between ``last_row`` and ``applied``"), so it stays true when rows are lost.

One server, or replicas that are read as sequentially as they are written (``insert_quorum``,
``select_sequential_consistency``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from sinks.clickhouse import ClickHouse
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.fact_tables import fact_tables
from streams.facts import Fact
from streams.records import Spans, TopicPartition

BLOCK_ROWS = 100_000
FENCE_COLUMNS = {
    "generation": "UInt32",
    "topic": "String",
    "partition": "UInt16",
    "topic_id": "String",
    "applied": "Int64",
    "last_row": "Int64",
}


class Reach(NamedTuple):
    """All records up to ``applied`` are in, the last of which that has a row is at ``last_row``."""

    applied: int
    last_row: int


NOTHING = Reach(-1, -1)


class FactSink:
    """Applies facts to the tables of one generation, which exist (``sinks.fact_migrations``). One task at a time."""

    def __init__(
        self, clickhouse: ClickHouse, generation: int, topic_ids: Mapping[str, str], *, block_rows: int = BLOCK_ROWS
    ) -> None:
        """``topic_ids`` names the incarnation of each source topic."""
        self._clickhouse, self._generation, self._topic_ids = clickhouse, generation, topic_ids
        self._block_rows = block_rows
        self._reached: dict[TopicPartition, Reach] = {}
        self._noted: dict[TopicPartition, Reach] = {}
        self._inserted: dict[TopicPartition, tuple[int, int]] = {}
        """First offset of the last acknowledged block, and how often it was inserted anew."""

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``: one query for all."""
        topics = sorted({tp.topic for tp in partitions})
        rows, noted = await asyncio.gather(self._rows(topics), self._notes(topics))
        for tp in partitions:
            self._noted[tp] = noted.get(tp, NOTHING)
            self._reached[tp] = _reach(rows.get(tp, -1), self._noted[tp])
        return {tp: self._reached[tp].applied for tp in partitions}

    async def apply(self, writes: Sequence[Fact], spans: Spans) -> None:
        """See ``Sink.apply``. If it fails midway, some blocks are there and others not: call it again."""
        if any(tp not in self._noted for tp in spans):
            await self.fences(spans)
        stored = await self._rows(sorted({tp.topic for tp in spans}))
        held = {tp: self._held(tp, stored.get(tp, -1)) for tp in spans}
        if any(held[tp] < span.prior for tp, span in spans.items()):
            raise self._behind(stored, spans)
        mine: dict[TopicPartition, list[Fact]] = {tp: [] for tp in spans}
        for fact in writes:
            if fact.mark.offset > stored.get(fact.mark.tp, -1):
                mine[fact.mark.tp].append(fact)
        last = {tp: facts[-1].mark.offset if facts else stored.get(tp, -1) for tp, facts in mine.items()}
        inserts = (self._insert(tp, facts) for tp, facts in mine.items() if facts)
        # All are waited for: what of this call still ran beside its repetition would be taken for rows that were lost.
        failures = [one for one in await asyncio.gather(*inserts, return_exceptions=True) if one is not None]
        if failures:
            raise next((one for one in failures if not isinstance(one, StoreAway)), failures[0])
        reached = {tp: Reach(max(span.last, last[tp], held[tp]), last[tp]) for tp, span in spans.items()}
        await self._note(reached)
        self._reached.update(reached)

    def _held(self, tp: TopicPartition, stored: int) -> int:
        """Up to where all is in, where the highest offset that has a row is ``stored``."""
        known = (self._reached.get(tp, NOTHING), self._noted.get(tp, NOTHING))
        return max(_reach(stored, reach).applied for reach in known)

    def _behind(self, stored: Mapping[TopicPartition, int], spans: Spans) -> FenceBehind:
        """Go back to what is there, with all of this batch: none of it was said to be applied."""
        held = {tp: self._held(tp, stored.get(tp, -1)) for tp in spans}
        self._reached.update({tp: Reach(at, stored.get(tp, -1)) for tp, at in held.items()})
        return FenceBehind(held)

    async def _rows(self, topics: Collection[str]) -> dict[TopicPartition, int]:
        """The highest offset of each partition that has rows."""
        if not topics:
            return {}
        tables = fact_tables()
        selects = (
            f"SELECT '{topic}', _partition, max(_offset) FROM {tables[topic].name(self._generation)} "  # noqa: S608
            "GROUP BY _partition"
            for topic in topics
        )
        rows = await self._clickhouse.query(" UNION ALL ".join(selects))
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    async def _notes(self, topics: Collection[str]) -> dict[TopicPartition, Reach]:
        """What ``fences`` says. Raises ``LogRemade`` where it speaks of another incarnation of a topic."""
        rows = await self._clickhouse.query(
            "SELECT topic, partition, topic_id, max((applied, last_row)) FROM fences "
            "WHERE generation = {generation:UInt32} AND topic IN {topics:Array(String)} GROUP BY ALL",
            {"generation": self._generation, "topics": list(topics)},
        )
        for topic, _, topic_id, _ in rows:
            if topic_id != self._topic_ids[topic]:
                raise LogRemade(
                    f"generation {self._generation} of the view facts was built from topic {topic} when its id was "
                    f"{topic_id}; now the id is {self._topic_ids[topic]}, so the topic was deleted and made again. "
                    "Bring the log back, or build a new generation with `shutterlog replay facts`"
                )
        return {TopicPartition(topic, partition): Reach(*pair) for topic, partition, _, pair in rows}

    async def _insert(self, tp: TopicPartition, facts: Sequence[Fact]) -> None:
        """The blocks of one partition, one after another."""
        table, before = fact_tables()[tp.topic], None
        for block in self._blocks(facts):
            if before is not None:
                stored = (await self._rows([tp.topic])).get(tp, -1)
                if stored != before:
                    raise StoreAway(f"ClickHouse holds {tp} up to {stored}, and {before} was inserted just now")
            columns, values = table.block(block)
            names, types = [column.name for column in columns], [column.type for column in columns]
            first, before = block[0].mark.offset, block[-1].mark.offset
            await self._clickhouse.insert(table.name(self._generation), names, types, values, self._token(tp, first))
            self._inserted[tp] = first, self._times(tp, first)

    def _token(self, tp: TopicPartition, first: int) -> str:
        """Rows that were there and were taken away since must not meet their own token."""
        times = self._times(tp, first)
        return f"{tp.topic}_{self._generation}/{tp.partition}/{first}" + (f"/{times}" if times else "")

    def _times(self, tp: TopicPartition, first: int) -> int:
        last, times = self._inserted.get(tp, (-1, 0))
        return times + 1 if last == first else 0

    def _blocks(self, facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
        for _, of_a_month in groupby(facts, lambda fact: _month(fact.timestamp)):
            rows = list(of_a_month)
            for start in range(0, len(rows), self._block_rows):
                yield rows[start : start + self._block_rows]

    async def _note(self, reached: Mapping[TopicPartition, Reach]) -> None:
        """Say durably what the rows cannot say: of which log they are, and that nothing follows them."""
        new = {
            tp: reach
            for tp, reach in reached.items()
            if reach.applied >= 0
            and reach > self._noted.get(tp, NOTHING)
            and (reach.applied > reach.last_row or self._noted.get(tp, NOTHING) == NOTHING)
        }
        if new:
            rows = [
                (self._generation, tp.topic, tp.partition, self._topic_ids[tp.topic], *reach)
                for tp, reach in new.items()
            ]
            columns = [list(column) for column in zip(*rows, strict=True)]
            await self._clickhouse.insert("fences", list(FENCE_COLUMNS), list(FENCE_COLUMNS.values()), columns)
            self._noted.update(new)


def _reach(stored: int, believed: Reach) -> Reach:
    """What is in, where the highest offset that has a row is ``stored``: what is ``believed``, unless rows are
    missing."""
    if stored < believed.last_row:
        return Reach(stored, stored)
    return Reach(max(believed.applied, stored), stored)


def _month(timestamp: int) -> tuple[int, int]:
    at = datetime.fromtimestamp(timestamp / 1000, UTC)
    return at.year, at.month
