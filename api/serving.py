"""How gateway processes serve."""

from __future__ import annotations

import gc
from typing import Any

import uvicorn
from fastapi import FastAPI

from sinks.settings import Settings

_ALLOCATED = 10_000
"""Objects after which the youngest are looked at: an answer takes a thousand, nearly all of them gone at its end."""


def serve(app: FastAPI, settings: Settings, **options: Any) -> None:
    """Serve ``app`` on the address that the settings name until told to stop; ``options`` are uvicorn's."""
    # What stands now stays to the end, and is half a million objects: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATED)
    uvicorn.run(app, host=settings.api_host, port=settings.api_port, loop="uvloop", server_header=False, **options)
