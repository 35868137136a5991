"""Which generation a gateway reads: it goes along with a flip once the new generation holds all that the old one shows.

Between the last look of ``replay`` and the flip, the agents may have gone on in the old generation. Read at once, the
new one would be behind by that moment: a post that somebody has seen would be missing, and come back. So the old one is
read on until every fence of the new one has passed the old one's, which then stands still.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from sinks.cassandra import Cassandra
from sinks.errors import StoreAway
from sinks.generations import FIRST, LiveGenerations
from sinks.home_feed_buckets import stored_fences
from sinks.home_feed_watch import Watched
from sinks.redis import Redis
from sinks.search import stored_fences as fences_in
from sinks.settings import Settings
from streams.search import SEARCH

logger = logging.getLogger(__name__)
LONGEST_SECONDS = 20.0
"""After so long the flip is followed anyhow: the old generation may be dropped, and nobody writes it any more."""
_LOOK_SECONDS = 0.05

Stored = Callable[[str, int], Awaitable[Mapping[str, int]]]
"""(view, generation) to all its fences, by what names each."""


class AdoptedGenerations:
    """The generation of each view that is read here. Follows what ``LiveGenerations`` hears."""

    def __init__(self, settings: Settings, stored: Stored) -> None:
        self._stored = stored
        self._live = LiveGenerations(settings, self._flipped)
        self._adopted: Mapping[str, int] = {}
        self._adopting: dict[str, asyncio.Task[None]] = {}

    def __getitem__(self, view: str) -> int:
        return self._adopted.get(view, FIRST)

    def snapshot(self) -> Mapping[str, int]:
        """What is read now, by view, for one request to hold on to; views that were never replayed are left out."""
        return self._adopted

    async def start(self) -> None:
        """Read what is live, and follow it from there on. Raises ``StoreAway`` and ``TopicMissing``."""
        await self._live.start()
        self._adopted = {**self._live.snapshot(), **self._adopted}

    async def stop(self) -> None:
        """End what runs."""
        await self._live.stop()
        for task in self._adopting.values():
            task.cancel()
        await asyncio.gather(*self._adopting.values(), return_exceptions=True)

    def _flipped(self, view: str, number: int) -> None:
        if view in self._adopting:
            self._adopting[view].cancel()
        self._adopting[view] = asyncio.create_task(self._adopt(view, number))

    async def _adopt(self, view: str, number: int) -> None:
        deadline = time.monotonic() + LONGEST_SECONDS
        while not await self._has_reached(view, number):
            if time.monotonic() > deadline:
                logger.warning("%s: generation %d is read though it is behind the one before", view, number)
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self._adopted = {**self._adopted, view: number}

    async def _has_reached(self, view: str, number: int) -> bool:
        try:
            new = await self._stored(view, number)
            old = await self._stored(view, self[view])  # after the new one: agents may still go on in it
        except StoreAway:
            return False
        return all(new.get(name, -1) >= offset for name, offset in old.items())


def stored_in(
    cassandra: Cassandra, redis: Redis, watched: Mapping[str, Watched], buckets: int, search: Callable[[int], Path]
) -> Stored:
    """The fences of views as they stand in the stores: of those ``watched`` in Redis, of search in the folder of a
    generation, of all others in Cassandra."""

    async def stored(view: str, generation: int) -> Mapping[str, int]:
        if view in watched:
            prefixes = [f"{watched[view].prefix}{generation}:{{{n}}}:" for n in range(buckets)]
            found = await stored_fences(redis, prefixes)
            return {f"{n}:{name}": offset for n, held in enumerate(found) for name, (offset, _) in held.items()}
        if view == SEARCH.name:
            held = await asyncio.to_thread(fences_in, search(generation))
            return {str(tp): applied for tp, (applied, _) in held.items()}
        rows = await cassandra.execute(
            "SELECT topic, partition, applied_offset FROM fences WHERE view_name = ? AND generation = ?",
            (view, generation),
        )
        return {f"{row.topic}-{row.partition}": row.applied_offset for row in rows}

    return stored
