"""The strike: workers are killed in the middle of what they do, which takes much to do, and takes long.

A worker that is killed at rest holds nothing half done, and one that is killed as it starts neither: a build that does
one thing before another survives many such kills. So a crowd writes without a pause, what the workers' calls carry
comes late, and each worker dies once, at a moment of chance. The crowd of each strike is a new one, and does nothing
twice: who follows somebody again is given what the first time was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from random import Random

from jobs.chaos_citizen import Citizen
from jobs.chaos_load import Load
from jobs.chaos_plan import Fault
from jobs.chaos_stack import ChaosStack

CROWD = 8
DEEDS = {"like": 3, "comment": 2, "save": 1, "post": 2, "pass by": 1}
"""What the crowd does between following one and the next, and how often in proportion."""
LATE_SECONDS = 0.15
WARM_SECONDS = 1.5
"""Until what the crowd writes has come to the workers."""


async def strike(stack: ChaosStack, load: Load, fault: Fault) -> list[str]:
    """Kill each worker of ``stack`` once, within ``fault.seconds`` of the crowd's first writes; their names in that
    order. Raises what registering raises: ``Refused``, ``Unanswered``."""
    chance = Random(fault.seed)  # noqa: S311 - moments that can be had again
    crowd = [await load.citizen(f"s{fault.number}x{number}x") for number in range(CROWD)]
    links = [link for name, link in stack.links.items() if name in ("redis", "cassandra")]
    warm = time.monotonic() + WARM_SECONDS
    turns = sorted((warm + chance.uniform(0, fault.seconds), slot) for slot in sorted(stack.slots))
    busy = [asyncio.create_task(_busy(load, person, turns[-1][0], chance)) for person in crowd]
    for link in links:
        link.slow(LATE_SECONDS)
    killed: list[str] = []
    try:
        for moment, slot in turns:
            await asyncio.sleep(moment - time.monotonic())
            with contextlib.suppress(ProcessLookupError):
                os.kill(await stack.pid(slot), signal.SIGKILL)
                killed.append(slot)
    finally:
        for link in links:
            link.restore()
        # What was asked is waited for: its answer belongs in the ledger.
        await asyncio.gather(*busy)
    return killed


async def _busy(load: Load, person: Citizen, until: float, chance: Random) -> None:
    """Follow everybody who has posts by now, and do something else after each."""
    for other in chance.sample(load.citizens, len(load.citizens)):
        (deed,) = chance.choices(list(DEEDS), list(DEEDS.values()))
        await load.do(person, "follow", [other])
        await load.do(person, deed, load.citizens)
        if time.monotonic() > until:
            return
