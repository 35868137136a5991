"""People who come back after a long time: their feed is made again behind the answer that they get meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sinks.errors import StoreAway
from sinks.home_feed_sleep import Sleepers

logger = logging.getLogger(__name__)
AT_ONCE = 4
"""Feeds that one gateway makes at the same time: each reads all timelines that its person follows."""
WAITING = 1000
"""People who wait for that. Whoever comes on top of them is woken at a later read."""
TRIES = 5
_PAUSE_SECONDS = 0.1


class Returning:
    """Wakes people, each by one task at a time. ``sleepers`` gives those of a generation."""

    def __init__(self, sleepers: Callable[[int], Sleepers]) -> None:
        self._sleepers = sleepers
        self._tasks: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def wake(self, generation: int, user_id: int) -> None:
        """Begin to make the feed of ``user_id``, unless that is under way."""
        who = (generation, user_id)
        if who in self._tasks or len(self._tasks) >= WAITING:
            return
        task = self._tasks[who] = asyncio.create_task(self._wake(generation, user_id))
        task.add_done_callback(lambda _: self._tasks.pop(who, None))

    async def done(self) -> None:
        """Wait until nobody is being woken."""
        await asyncio.gather(*self._tasks.values())

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """At the end of the block what is under way is dropped: the next read begins it anew."""
        try:
            yield
        finally:
            for task in list(self._tasks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _wake(self, generation: int, user_id: int) -> None:
        async with self._room:
            try:
                for _ in range(TRIES):
                    if await self._sleepers(generation).wake(user_id):
                        return
                    await asyncio.sleep(_PAUSE_SECONDS)
            except StoreAway as away:
                logger.warning("a feed is not made again yet: %s", away)
            except Exception:
                logger.exception("a feed could not be made again")
