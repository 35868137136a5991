"""Agents that move a table's fence before its rows are written: what fails in between is taken for done."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def broken() -> None:
    """Turn the two around."""
    from sinks.cassandra import together
    from sinks.errors import FenceBehind
    from sinks.tables import TableSink, lives
    from streams.records import Spans
    from streams.views import Delete, Upsert

    async def apply(self: TableSink, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        stored = await self.fences(spans)
        if any(stored[tp] < span.prior for tp, span in spans.items()):
            raise FenceBehind(stored)
        moved = [self._fence(tp, span.last) for tp, span in spans.items() if span.last > stored[tp]]
        if moved:
            await self._cassandra.apply_batch(moved, consistency=self._consistency)
        now = self._clock()
        new = [write for write in writes if write.mark.offset > stored[write.mark.tp] and lives(write, now)]
        batches = self._batches(new, now)
        await together(self._cassandra.apply_batch(batch, consistency=self._consistency) for batch in batches)

    TableSink.apply = apply  # type: ignore[method-assign]


if "agents" in sys.orig_argv:
    broken()
