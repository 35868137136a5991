"""The flip: one record in the topic of the generations, and no gap until the agents write the new generation."""

from __future__ import annotations

import asyncio
import time

from jobs.replay_engine import Following
from jobs.replay_progress import Said
from jobs.replay_report import ReplayReport
from jobs.replay_workers import Workers
from sinks.generations import GenerationLog, now_ms
from sinks.replay_poison import Met, PoisonBook
from sinks.settings import Settings
from sinks.view_leases import ViewLease
from streams.records import TopicPartition

TAKEOVER_SECONDS = 15.0
NOBODY_SECONDS = 3.0
"""Agents that are started anew leave the group for a moment."""
_LOOK_SECONDS = 0.25


class Flip:
    """Makes the generation of ``report`` live, and fills in the rest of ``report``."""

    def __init__(
        self, settings: Settings, report: ReplayReport, book: PoisonBook, said: Said, lease: ViewLease
    ) -> None:
        self._settings, self._report, self._book = settings, report, book
        self._said, self._lease = said, lease
        self._log = GenerationLog(settings)

    async def run(self, following: Following, partitions: list[TopicPartition], *, anew: bool) -> None:
        """Point to it; ``following`` goes on writing it until the agents do.

        ``anew``: what taints it is what this build met. One that was live before keeps what it was tainted by: what
        agents refused since then stands in the DLQ.
        """
        report, number = self._report, self._report.generation
        with self._said.timed(report.seconds, "flip"):
            following.check()
            report.met = await self._book.met()
            generations = await asyncio.to_thread(self._log.of, report.view)
            self._said.line(f"flipping to generation {number}")
            self._lease.check()
            known = _known(report.met, following) if anew else (None, None)
            await asyncio.to_thread(self._log.write, generations.flipped(number, now_ms(), *known))
            report.flipped = True
            self._said.line(f"generation {number} is live")
        with self._said.timed(report.seconds, "take_over"):
            report.taken_over = await self._taken_over(following, partitions)
        met = await self._book.met()
        if anew and met.refused != report.met.refused:
            # Passed over between the flip and the agents' first batch: they will never bury it.
            report.met = met
            generations = await asyncio.to_thread(self._log.of, report.view)
            since = generations.of(number).since
            await asyncio.to_thread(self._log.write, generations.flipped(number, since, *_known(met, following)))

    async def _taken_over(self, following: Following, partitions: list[TopicPartition]) -> str:
        self._said.line("waiting for the agents")
        workers = Workers(self._settings, self._report.view)
        began = seen = time.monotonic()
        try:
            while True:
                if await asyncio.to_thread(workers.members):
                    seen = time.monotonic()
                    if await asyncio.to_thread(workers.write, self._report.generation, partitions):
                        return "agents"
                elif time.monotonic() > seen + NOBODY_SECONDS:
                    return "nobody"
                if time.monotonic() > began + TAKEOVER_SECONDS:
                    return "late"
                following.check()
                self._lease.check()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await asyncio.to_thread(workers.close)


def _known(met: Met, following: Following) -> tuple[int, dict[str, int]]:
    return met.refused, {str(tp): at for tp, at in following.applied.items()}
