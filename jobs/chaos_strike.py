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
from collections.abc import Mapping, Sequence
from random import Random

from jobs.chaos_citizen import Citizen
from jobs.chaos_load import Load
from jobs.chaos_stack import ChaosStack

CROWD = 8
DEEDS = {"like": 3, "comment": 2, "save": 1, "post": 2}
"""What the crowd does between following one and the next, and how often in proportion."""
LATE_SECONDS = 0.15
WARM_SECONDS = 1.5
"""Until what the crowd writes has come to the workers."""


class Strike:
    """Strikes the workers of ``stack``, with a crowd beside the people of ``load``."""

    def __init__(self, stack: ChaosStack, load: Load) -> None:
        self._stack, self._load = stack, load
        self._strikes = 0

    async def strike(self, seconds: float, chance: Random) -> list[str]:
        """Kill each worker once within so many seconds; their names in that order. Raises what registering raises:
        ``Refused``, ``Unanswered``."""
        self._strikes += 1
        crowd = [await self._load.citizen(f"s{self._strikes}x{number}x") for number in range(CROWD)]
        links = [link for name, link in self._stack.links.items() if name in ("redis", "cassandra")]
        moments = {slot: WARM_SECONDS + chance.uniform(0, seconds) for slot in sorted(self._stack.slots)}
        over = time.monotonic() + max(moments.values())
        busy = [asyncio.create_task(self._busy(person, over, chance)) for person in crowd]
        for link in links:
            link.slow(LATE_SECONDS)
        try:
            return await self._kill(sorted(moments, key=moments.__getitem__), moments)
        finally:
            for link in links:
                link.restore()
            # What was asked is waited for: its answer belongs in the ledger.
            await asyncio.gather(*busy)

    async def _kill(self, slots: Sequence[str], moments: Mapping[str, float]) -> list[str]:
        began = time.monotonic()
        killed: list[str] = []
        for slot in slots:
            await asyncio.sleep(max(0.0, began + moments[slot] - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.kill(await self._stack.pid(slot), signal.SIGKILL)
                killed.append(slot)
        return killed

    async def _busy(self, person: Citizen, until: float, chance: Random) -> None:
        """Follow everybody who has posts by now, and do something else after each."""
        citizens = self._load.citizens
        for other in chance.sample(citizens, len(citizens)):
            (deed,) = chance.choices(list(DEEDS), list(DEEDS.values()))
            await self._load.do(person, "follow", [other])
            await self._load.do(person, deed, citizens)
            if time.monotonic() > until:
                return
