"""People who come back after a long time: their feed is made again behind the answer that they get meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from sinks.beside import Errands
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
        self._room = asyncio.Semaphore(AT_ONCE)
        self.errands = Errands(WAITING)
        """What is dropped at their end, the next read begins anew."""

    def wake(self, generation: int, user_id: int) -> None:
        """Begin to make the feed of ``user_id``, unless that is under way."""
        self.errands.send((generation, user_id), partial(self._wake, generation, user_id))

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
