"""``TableSink`` over tables in memory, for tests that need no server: the same answers, by the contract test.

``without`` takes one rule out, to show what it is for: "timestamps" (of rows and fences) or "expected fence".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from sinks.errors import FenceBehind, LogRemade
from streams.records import Spans, TopicPartition
from streams.views import Delete, Upsert
from tests.streams.memory_tables import MemoryTables

Fences = dict[TopicPartition, tuple[int, str]]
"""Offset and topic id."""


async def _go_on() -> None:
    pass


class MemoryTablesSink:
    """One worker's sink. Workers share ``tables`` and ``held``; ``before_write`` is awaited before each step that
    writes, so that a test can stop there or raise what a store would."""

    def __init__(
        self,
        tables: MemoryTables,
        held: Fences,
        topic_ids: Mapping[str, str],
        *,
        before_write: Callable[[], Awaitable[None]] = _go_on,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._tables = tables
        self._held = held
        self._topic_ids = topic_ids
        self._before_write = before_write
        self._without = without

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        for tp in partitions:
            topic_id = self._held.get(tp, (-1, self._topic_ids[tp.topic]))[1]
            if topic_id != self._topic_ids[tp.topic]:
                raise LogRemade(f"topic {tp.topic} had the id {topic_id}")
        return {tp: self._held.get(tp, (-1, ""))[0] for tp in partitions}

    async def apply(self, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        stored = await self.fences(spans)
        behind = any(stored[tp] < span.prior for tp, span in spans.items())
        if behind and "expected fence" not in self._without:
            raise FenceBehind(stored)
        for write in writes:
            if write.mark.offset > stored[write.mark.tp]:
                await self._before_write()
                self._tables.apply([write])
        moved = {tp: span.last for tp, span in spans.items() if span.last > stored[tp]}
        if moved:
            await self._before_write()
        for tp, last in moved.items():
            if "timestamps" in self._without or last > self._held.get(tp, (-1, ""))[0]:
                self._held[tp] = (last, self._topic_ids[tp.topic])
