"""``shutterlog chaos``: everything is broken, one thing after another, and nothing may be lost nor count twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jobs.chaos_canary import Canary, StillBroken
from jobs.chaos_citizen import Refused, Unanswered
from jobs.chaos_cluster_faults import ClusterFaults
from jobs.chaos_cluster_stack import ClusterStack
from jobs.chaos_faults import Faults
from jobs.chaos_ledger import LedgerCheck
from jobs.chaos_load import PEOPLE, Load
from jobs.chaos_page import page
from jobs.chaos_plan import Fault, NotFired, Skipped, plan
from jobs.chaos_report import ChaosReport, Injected
from jobs.chaos_stack import ChaosStack
from jobs.services.failures import StackError
from jobs.services.programs import AGENTS
from jobs.verify import verify
from jobs.verify_log import LogReader
from sinks.errors import LogRemade, StoreAway
from sinks.settings import Settings
from sinks.topics import Topics

RECOVERY_SECONDS = 90.0
"""What does not work again by then has not recovered."""
FAULT_SECONDS = 120.0
"""No fault lasts longer, whatever stands in its way."""
CLUSTER_FAULT_SECONDS = 420.0
"""The same with clusters, where nodes have to catch up, and all workers are restarted."""
LONGER = 3.0
"""A run that takes so many times as long as asked for ends with what it has."""
_START_SECONDS = 120.0
_VERIFY_PATIENCE_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. ``home`` must not exist; the stack's folder, removed afterwards, but for the logs
    of a run that did not go well."""

    minutes: float
    seed: int
    home: Path
    only: Collection[str] = ()
    people: int = PEOPLE
    slots: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: AGENTS)
    given: Mapping[str, str] = field(default_factory=dict)
    """See ``ChaosStack``."""
    patience: float = RECOVERY_SECONDS
    """Seconds after a fault in which everything has to work again."""
    clusters: bool = False
    """Whether every store is several nodes, and the faults those of clusters."""
    allow_skipped: bool = False
    """Whether all can be well though this machine does not permit a fault."""
    other: Path | None = None
    """Another checkout: what workers are rolled over to, and back."""


def chaos(wishes: Wishes, say: Say = lambda line: None) -> tuple[ChaosReport, str]:
    """Run it; the report, and the page that shows it.

    Everything that was started is ended, also when it is interrupted. Raises ``ValueError`` for wishes that make no
    sense, ``StackError`` where the stack does not come up, and ``KeyboardInterrupt`` for SIGINT and SIGTERM.
    """
    faults = plan(wishes.minutes, wishes.seed, wishes.only, clusters=wishes.clusters)
    if wishes.home.exists():
        raise ValueError(f"{wishes.home} exists already: chaos wants a folder of its own, which it removes")
    return asyncio.run(_interruptible(_Run(wishes, faults, say)))


async def _interruptible(run: _Run) -> tuple[ChaosReport, str]:
    """So that everything is ended before the process is."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - asyncio.run runs this in a task
    loop = asyncio.get_running_loop()
    for order in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(order, task.cancel)
    try:
        return await run.whole()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class _Run:
    def __init__(self, wishes: Wishes, faults: list[Fault], say: Say) -> None:
        self._wishes, self._say = wishes, say
        self._report = ChaosReport(wishes.minutes, wishes.seed, allow_skipped=wishes.allow_skipped)
        self._report.faults = [Injected(fault) for fault in faults]

    async def whole(self) -> tuple[ChaosReport, str]:
        report, wishes = self._report, self._wishes
        kind = ClusterStack if wishes.clusters else ChaosStack
        async with kind(wishes.home, self._say, slots=wishes.slots, given=wishes.given) as stack:
            began = time.monotonic()
            async with Load(stack.base_url, wishes.seed, began) as load:
                faults = (
                    ClusterFaults(stack, load, wishes.other) if isinstance(stack, ClusterStack) else Faults(stack, load)
                )
                try:
                    canary = await Canary.hatch(load)
                    await load.begin(wishes.people)
                    self._say(f"the canary sings after {await canary.sing(_START_SECONDS):.1f} s")
                except (Refused, Unanswered, StillBroken) as error:
                    report.failure = f"nothing works even before the first fault: {error}"
                else:
                    await self._break(faults, load, canary)
                await load.stop()
                report.seconds = load.seconds
                self._count(load, faults)
                await self._judge(stack.settings, load)
                stack.keeps_logs = not report.well
            return report, page(report, load.ticks)

    async def _break(self, faults: Faults, load: Load, canary: Canary) -> None:
        latest = time.monotonic() + self._wishes.minutes * 60 * LONGER
        for one in self._report.faults:
            if time.monotonic() > latest:
                one.proof = one.proof or "the run had taken too long by then"
                continue
            await asyncio.sleep(one.fault.pause)
            try:
                await self._inject(one, faults, load, canary)
            except Exception as error:  # chaos itself has failed: what was done until then is judged all the same
                self._say(traceback.format_exc())
                self._report.failure = f"broken off: {type(error).__name__}: {error}"
                return

    async def _inject(self, one: Injected, faults: Faults, load: Load, canary: Canary) -> None:
        await faults.save_redis()
        one.began = load.seconds
        try:
            async with asyncio.timeout(CLUSTER_FAULT_SECONDS if self._wishes.clusters else FAULT_SECONDS):
                one.proof = await faults.fire(one.fault)
            one.fired = True
        except Skipped as skipped:
            one.skipped, one.proof = True, str(skipped)
        except (NotFired, TimeoutError, OSError, StoreAway) as error:
            one.proof = f"{type(error).__name__}: {error}"
        one.lifted = load.seconds
        try:
            await canary.sing(self._wishes.patience)
            one.recovered = load.seconds
        except StillBroken as broken:
            one.proof += f"; afterwards {broken}"
        one.waits = dict(canary.waits)
        took = "not at all" if one.recovery_seconds is None else f"after {one.recovery_seconds:.1f} s {one.waits}"
        self._say(f"{one.began:6.1f} s  {one.fault.name}: {one.proof}; recovered {took}")

    def _count(self, load: Load, faults: Faults) -> None:
        report, ledger = self._report, load.ledger
        report.acknowledged, report.by_event = len(ledger.acknowledged), ledger.by_event()
        report.refused, report.unanswered = dict(ledger.refused), dict(ledger.unanswered)
        report.doubled, report.stale, report.feeds = ledger.doubled, load.stale, dict(load.feeds)
        report.poisoned = faults.poisoned

    async def _judge(self, settings: Settings, load: Load) -> None:
        """What the log and the views say of it. Verified first: then the log has come to rest."""
        report = self._report
        try:
            self._say("verifying every view")
            found = await asyncio.to_thread(
                verify, settings, patience=min(_VERIFY_PATIENCE_SECONDS, self._wishes.patience), quiet=True
            )
            report.views = {
                name: {"checked": one.checked, "differences": one.total} for name, one in found.views.items()
            }
            report.lines = [] if not found.differences else list(found.lines(20))
            report.events, report.undecodable = found.events, found.undecodable
            report.differences = found.differences
            report.lost = await asyncio.to_thread(lost, settings, load)
        except (StoreAway, LogRemade, LookupError, StackError) as error:
            report.failure = report.failure or f"cannot be verified: {error}"


def lost(settings: Settings, load: Load) -> list[str]:
    """Each acknowledged write of ``load`` that the log does not have. Blocks. Raises ``StoreAway``."""
    check = LedgerCheck(load.ledger.acknowledged)
    with contextlib.closing(LogReader(settings)) as reader:
        reader.witness = check.take
        reader.read_to(Topics(settings).ends(), lambda event, offset, at: None, lambda count: None)
    return check.lost()
