"""Copies of Redis's append-only file, taken while it writes, so that Redis can be rolled back to them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from sinks.redis import Redis

_GROWTH = "auto-aof-rewrite-percentage"
_REWRITE_SECONDS = 30.0


async def copy_aof(redis: Redis, folder: Path, copy: Path) -> None:
    """Copy ``folder``, where ``redis`` keeps its append-only files, to ``copy``, which does not exist yet.

    A rewrite replaces the files and the manifest that names them: none is under way meanwhile and none begins, as
    Redis's documentation of persistence asks for backups. Raises what Redis and the file system do, and
    ``TimeoutError`` if a rewrite takes longer than 30 s; then nothing is left of the copy.
    """
    growth = str((await redis.config_get(_GROWTH))[_GROWTH])
    await redis.config_set(_GROWTH, 0)
    try:
        async with asyncio.timeout(_REWRITE_SECONDS):
            while await _rewrites(redis):
                await asyncio.sleep(0.05)
        await asyncio.to_thread(shutil.copytree, folder, copy)
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    finally:
        await redis.config_set(_GROWTH, growth)


async def _rewrites(redis: Redis) -> bool:
    now = await redis.info("persistence")
    return bool(now["aof_rewrite_in_progress"] or now["aof_rewrite_scheduled"])
