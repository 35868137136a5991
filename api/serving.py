"""How gateway processes serve."""

from __future__ import annotations

import gc
from typing import Any

import uvicorn
from fastapi import FastAPI

from sinks.settings import Settings

_ALLOCATED, _MIDDLE, _OLD = 10_000, 5, 40
"""Objects after which the youngest are looked at: an answer takes a thousand, nearly all of them gone at its end. How
many times of that until the middle ones are, and of those until all are: 5,000 live streams are a million objects, and
to look at all of them stops the gateway for up to a second."""


def serve(app: FastAPI, settings: Settings, **options: Any) -> None:
    """Serve ``app`` on the address that the settings name until told to stop; ``options`` are uvicorn's."""
    # What stands now stays to the end, and is half a million objects: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED, _MIDDLE, _OLD)
    uvicorn.run(app, host=settings.api_host, port=settings.api_port, loop="uvloop", server_header=False, **options)
