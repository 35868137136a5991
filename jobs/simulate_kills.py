"""Kills random agents of the local stack, as an operator's worst hour would."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from jobs.services.home import Home
from jobs.services.programs import AGENTS
from jobs.services.supervisor import Supervisor
from sinks.settings import Settings

GAP_SECONDS = (0.5, 2.5)
KILL_SHARE = 2 / 3
"""Of the kills, those that fall into the time in which events are written; the others find the agents catching up."""
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0


class NoAgents(RuntimeError):
    """No agent runs that could be killed."""


@dataclass(frozen=True)
class Kill:
    """One kill: which slot, its pid, and when, in seconds after the first event."""

    slot: str
    pid: int
    after_seconds: float


class Killer:
    """Sends ``kill -9`` to a random running agent, ``count`` times, at moments that the seed gives."""

    def __init__(self, settings: Settings, count: int, seed: int, tell: Callable[[str], None]) -> None:
        self._supervisor = Supervisor(Home.at(settings.shutterlog_home))
        self._random = Random(seed)  # noqa: S311 - moments that can be had again, no secrets
        self.gaps = [self._random.uniform(*GAP_SECONDS) for _ in range(count)]
        meanwhile = round(count * KILL_SHARE)
        self.shares = [*sorted(self._random.random() for _ in range(meanwhile)), *[1.0] * (count - meanwhile)]
        """How much of the events is written when each kill may come: a long run is killed all along."""
        self._tell = tell
        self.kills: list[Kill] = []

    @property
    def seconds(self) -> float:
        """How long events have to be written for all kills that fall into that time."""
        return sum(self.gaps) * KILL_SHARE

    async def run(self, written: Callable[[], float]) -> None:
        """Kill them all, as ``written`` (0 to 1) goes on. Raises ``NoAgents`` when none comes back within a minute."""
        began = time.monotonic()
        for gap, share in zip(self.gaps, self.shares, strict=True):
            await asyncio.sleep(gap)
            while written() < share:
                await asyncio.sleep(_LOOK_SECONDS)
            slot, pid = await self._victim()
            os.kill(pid, signal.SIGKILL)
            self.kills.append(Kill(slot, pid, round(time.monotonic() - began, 2)))
            self._tell(f"killed {slot} (pid {pid})")

    async def _victim(self) -> tuple[str, int]:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            states = await asyncio.to_thread(self._supervisor.states)
            # One that is still starting is killed too: that is when it reads its fences.
            alive = sorted((name, state.pid) for name, state in states.items() if name in AGENTS and state.pid)
            if alive:
                slot, pid = self._random.choice(alive)
                if _is_alive(pid):
                    return slot, pid
            if time.monotonic() > deadline:
                raise NoAgents("no agent of the local stack runs; `shutterlog up` starts them")
            await asyncio.sleep(0.05)


def _is_alive(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except ProcessLookupError:
        return False
    return pid is not None
