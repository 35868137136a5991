"""Faults of the object store, and whether the product met them: somebody uploads a picture meanwhile."""

from __future__ import annotations

import asyncio
import errno
import shutil
import time
from pathlib import Path

from jobs.chaos_citizen import Citizen, Refused, Unanswered
from jobs.chaos_load import Load
from jobs.chaos_plan import Fault, NotFired, Skipped
from jobs.chaos_stack import ChaosStack

_AWAY = 503
_BALLAST_CHUNK = 1 << 20
_LOOK_SECONDS = 0.1


async def uploader(load: Load, fault: Fault) -> Citizen:
    """Somebody new, who registers before anything is broken. Raises ``NotFired``."""
    try:
        return await load.citizen(f"o{fault.number}x")
    except (Refused, Unanswered) as error:
        raise NotFired(f"nobody can register to upload something: {error}") from error


async def upload(load: Load, person: Citizen) -> Refused | Unanswered | None:
    """Try to upload a picture; why it was not taken, or None where it was."""
    try:
        await person.upload(load.photos[person.id % len(load.photos)])
    except (Refused, Unanswered) as error:
        return error
    return None


async def remove(stack: ChaosStack, load: Load, fault: Fault) -> str:
    """The folder of the object store is away."""
    person = await uploader(load, fault)
    media = stack.media
    aside = media.with_name("away")
    media.rename(aside)
    try:
        refused = await _refused(load, person, fault)
    finally:
        if media.exists():  # somebody made it anew: what they wrote there belongs to the rest
            await asyncio.to_thread(shutil.copytree, media, aside, dirs_exist_ok=True)
            await asyncio.to_thread(shutil.rmtree, media)
        aside.rename(media)
    return f"the object store's folder was away for {fault.seconds:.1f} s; {refused}"


async def fill(stack: ChaosStack, load: Load, fault: Fault) -> str:
    """There is no room on its device."""
    if stack.no_full_disk:
        raise Skipped(stack.no_full_disk)
    person = await uploader(load, fault)
    ballast = stack.media.with_name("ballast")
    try:
        written = await asyncio.to_thread(_fill, ballast)
        refused = await _refused(load, person, fault)
    finally:
        ballast.unlink(missing_ok=True)
    return f"no space left on the object store's device after {written >> 20} MiB; {refused}"


async def _refused(load: Load, person: Citizen, fault: Fault) -> str:
    """Wait for the fault's time, while ``person`` uploads until they are told that the store is away. Raises
    ``NotFired`` where nobody tells them."""
    until = time.monotonic() + fault.seconds
    while True:
        error = await upload(load, person)
        if isinstance(error, Refused) and error.status == _AWAY:
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            return f"an upload was refused: {error}"
        if time.monotonic() > until:
            raise NotFired(f"no upload was refused, the last one was {error or 'acknowledged'}")
        await asyncio.sleep(_LOOK_SECONDS)


def _fill(ballast: Path) -> int:
    """Write until there is no room; how many bytes that were. Raises ``NotFired`` where there always is."""
    written = 0
    block = bytes(_BALLAST_CHUNK)
    with ballast.open("wb", buffering=0) as file:
        while written < 1 << 32:
            try:
                written += file.write(block)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return written
                raise
    raise NotFired(f"there was room for {written} bytes")
