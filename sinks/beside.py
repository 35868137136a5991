"""Work that runs beside other work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
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
