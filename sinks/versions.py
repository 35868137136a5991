"""How far views are applied, asked once for all readers who ask at the same time.

What was read of a view after its fences is as good as what would be read now, as long as those fences stand still: so
a gateway may keep rows, and answer from them what the view would answer, at the price of one small read that all
requests under way share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sinks.beside import looked_at
from sinks.cassandra import Cassandra, Row
from streams.records import TopicPartition

Applied = Mapping[str, Mapping[TopicPartition, int]]
"""Of each view the offset of each partition of its sources up to which it is applied; none where there is no fence."""
_FENCES = (
    "SELECT view_name, generation, topic, partition, applied_offset FROM fences "
    "WHERE view_name IN ? AND generation IN ?"
)
"""One statement for all views: what it costs is mostly its being sent and answered, again and again."""
_PACE_SECONDS = 0.01
"""Where several share a read, the next one begins no sooner than so long after it: a read costs a gateway 0.3 ms of its
processor, a seventh of a page, and who asks has something else to wait for meanwhile."""


class Versions:
    """The fences of some views in Cassandra, of one generation each."""

    def __init__(self, cassandra: Cassandra, generations: Mapping[str, int]) -> None:
        self._cassandra = cassandra
        self._generations = dict(generations)
        self._rows: list[Row] = []
        self._applied: Applied = {view: {} for view in generations}
        self._running: asyncio.Task[Applied] | None = None
        self._next: asyncio.Task[Applied] | None = None
        self._waiting = self._shared = 0
        """Who waits for the next read, and who shared the last one."""
        self._began = 0.0

    def asked(self) -> asyncio.Task[Applied]:
        """A read that begins after this was asked, of others too: to be waited for under ``asyncio.shield``. Raises
        ``StoreAway``."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._running))
            self._next.add_done_callback(looked_at)
        self._waiting += 1
        return self._next

    async def now(self) -> Applied:
        """The fences, read after this was asked. Raises ``StoreAway``."""
        # Whoever gives up waiting leaves it to the others.
        return await asyncio.shield(self.asked())

    async def _read_after(self, running: asyncio.Task[Applied] | None) -> Applied:
        if running is not None:
            await asyncio.wait([running])
            loop = asyncio.get_running_loop()
            if self._shared > 1 and (left := self._began + _PACE_SECONDS - loop.time()) > 0:
                await asyncio.sleep(left)
        # Who comes from here on would be answered with what may be older than their question.
        self._running, self._next = self._next, None
        self._shared, self._waiting, self._began = self._waiting, 0, asyncio.get_running_loop().time()
        rows = await self._cassandra.execute(_FENCES, (list(self._generations), list(set(self._generations.values()))))
        if rows == self._rows:
            return self._applied  # the very same, by which readers know that nothing has moved
        applied: dict[str, dict[TopicPartition, int]] = {view: {} for view in self._generations}
        # Two rows of one partition mean a topic that was made again; its agents stand still, whichever is taken here.
        for view, generation, topic, partition, offset in rows:
            if generation == self._generations[view]:
                applied[view][TopicPartition(topic, partition)] = offset
        self._rows, self._applied = rows, applied
        return applied
