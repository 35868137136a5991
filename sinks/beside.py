"""Work that runs beside other work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """``work`` is a task inside the block; it is cancelled at the block's end, and has ended when the block is left."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def looked_at(work: asyncio.Future[Any]) -> None:
    """Takes what came of ``work`` once it is done, so that nothing is said of an error for which nobody waits any
    more."""
    if not work.cancelled():
        work.exception()


class Errands:
    """Work that is begun and not waited for: ``at_most`` so many at a time, and each of its own key."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def send(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin ``work``, unless that of ``key`` is under way or too much is: then nothing comes of it."""
        if key in self._tasks or len(self._tasks) >= self._at_most:
            return
        task = self._tasks[key] = asyncio.create_task(work())
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def done(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._tasks.values())

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """At the end of the block what is under way is dropped."""
        try:
            yield
        finally:
            under_way = list(self._tasks.values())
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
