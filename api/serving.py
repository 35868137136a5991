"""How gateway processes serve."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from api import metrics
from api.shedding import Load
from sinks.beside import beside
from sinks.settings import Settings

logger = logging.getLogger("uvicorn.error")
_LOOK_SECONDS = 0.05
_ALLOCATED, _MIDDLE, _OLD = 10_000, 5, 40
"""Objects after which the youngest are looked at: an answer takes a thousand, nearly all of them gone at its end. How
many times of that until the middle ones are, and of those until all are: 5,000 live streams are a million objects, and
to look at all of them stops the gateway for up to a second."""


@asynccontextmanager
async def watching(load: Load) -> AsyncIterator[None]:
    """Inside the block, look at how late the event loop is, again and again."""
    async with beside(_watch(load)):
        yield


async def _watch(load: Load) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        load.looked(max(loop.time() - due, 0.0))
        metrics.look(load)


def serve(app: FastAPI, settings: Settings, **options: Any) -> None:
    """Serve ``app`` on the address that the settings name until told to stop; ``options`` are uvicorn's."""
    # What stands now stays to the end, and is half a million objects: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, _MIDDLE, _OLD)
    logger.info("metrics on port %d", metrics.serve(settings.metrics_host, settings.metrics_port))
    uvicorn.run(app, host=settings.api_host, port=settings.api_port, loop="uvloop", server_header=False, **options)
