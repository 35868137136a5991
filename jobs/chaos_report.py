"""What a run of chaos found: what was broken, how long until it worked again, what was lost, what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from jobs.chaos_plan import Fault

MANY = 1000
"""Acknowledged writes, after which every view and emitter has had something to do."""
_SHOWN = 50


@dataclass
class Injected:
    """One fault of the plan, and what became of it. Times are in seconds after the run's beginning."""

    fault: Fault
    began: float | None = None
    lifted: float | None = None
    recovered: float | None = None
    """When what was written after the fault was seen everywhere; None where it was not, in time."""
    proof: str = ""
    """What shows that it took effect, or why it did not."""
    fired: bool = False
    waits: dict[str, float] = field(default_factory=dict)
    """What the canary waited for after it, in seconds."""
    skipped: bool = False
    """Whether this machine does not permit it."""

    @property
    def recovery_seconds(self) -> float | None:
        """From its end until everything worked."""
        if self.recovered is None or self.lifted is None:
            return None
        return round(self.recovered - self.lifted, 2)

    def to_json(self) -> dict[str, Any]:
        """As the report has it."""
        return {
            "number": self.fault.number,
            "fault": self.fault.name,
            "planned_seconds": self.fault.seconds,
            "began": _rounded(self.began),
            "lifted": _rounded(self.lifted),
            "recovered": _rounded(self.recovered),
            "recovery_seconds": self.recovery_seconds,
            "fired": self.fired,
            "skipped": self.skipped,
            "waits": self.waits,
            "proof": self.proof,
        }


@dataclass
class ChaosReport:
    """The whole run. ``views`` is what ``verify`` found, by view."""

    minutes: float
    seed: int
    seconds: float = 0.0
    faults: list[Injected] = field(default_factory=list)
    acknowledged: int = 0
    by_event: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    feeds: dict[str, int] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    differences: int | None = None
    """None where it could not be found out."""
    lines: list[str] = field(default_factory=list)
    """The differences, readably."""
    events: int = 0
    undecodable: int = 0
    poisoned: int = 0
    failure: str = ""
    """What ended the run before its time."""
    allow_skipped: bool = False
    """Whether all can be well though a fault was skipped."""

    def problems(self) -> list[str]:
        """Why the exit code is not 0; nothing when all is well."""
        found = [self.failure] if self.failure else []
        if self.lost:
            found.append(f"{len(self.lost)} acknowledged writes are lost")
        if self.differences is None:
            found.append("the views were not verified")
        elif self.differences:
            found.append(f"{self.differences} differences between views and log")
        if self.doubled:
            found.append(f"{len(self.doubled)} repeated requests were done twice")
        if self.stale:
            found.append(f"{len(self.stale)} reads did not show the write whose token they brought")
        if self.undecodable != self.poisoned and self.differences is not None:
            found.append(f"{self.undecodable} records cannot be decoded, and {self.poisoned} were made so")
        if not self.acknowledged:
            found.append("nothing was acknowledged")
        if self.acknowledged >= MANY:
            empty = sorted(name for name, one in self.views.items() if not one["checked"])
            found += [f"{name} was never put to the test: it holds nothing" for name in empty]
        for one in self.faults:
            if one.skipped:
                if not self.allow_skipped:
                    found.append(f"{one.fault.name} (number {one.fault.number}) was skipped: {one.proof}")
            elif not one.fired:
                found.append(f"{one.fault.name} (number {one.fault.number}) did not fire: {one.proof}")
            elif one.recovered is None:
                found.append(f"{one.fault.name} (number {one.fault.number}) was not recovered from: {one.proof}")
        return found

    @property
    def well(self) -> bool:
        """Whether everything was as promised."""
        return not self.problems()

    def by_fault(self) -> dict[str, dict[str, Any]]:
        """By kind: how many were planned, fired and skipped, and the median and worst recovery in seconds."""
        kinds: defaultdict[str, list[Injected]] = defaultdict(list)
        for one in self.faults:
            kinds[one.fault.name].append(one)
        found = {}
        for name, injected in sorted(kinds.items()):
            times = [seconds for one in injected if (seconds := one.recovery_seconds) is not None]
            found[name] = {
                "planned": len(injected),
                "fired": sum(one.fired for one in injected),
                "skipped": sum(one.skipped for one in injected),
                "median_recovery_seconds": round(median(times), 2) if times else None,
                "worst_recovery_seconds": max(times, default=None),
            }
        return found

    def to_json(self) -> dict[str, Any]:
        """What ``chaos --json`` prints; programs read it, so it stays as it is."""
        times = [seconds for one in self.faults if (seconds := one.recovery_seconds) is not None]
        return {
            "well": self.well,
            "problems": self.problems(),
            "seed": self.seed,
            "minutes": self.minutes,
            "seconds": round(self.seconds, 1),
            "faults_planned": len(self.faults),
            "faults_fired": sum(one.fired for one in self.faults),
            "faults_skipped": sum(one.skipped for one in self.faults),
            "median_recovery_seconds": round(median(times), 2) if times else None,
            "worst_recovery_seconds": max(times, default=None),
            "by_fault": self.by_fault(),
            "faults": [one.to_json() for one in self.faults],
            "acknowledged": self.acknowledged,
            "refused": sum(self.refused.values()),
            "unanswered": sum(self.unanswered.values()),
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "stale": len(self.stale),
            "differences": self.differences,
            "views": self.views,
            "events": self.events,
            "undecodable": self.undecodable,
            "poisoned": self.poisoned,
            "acknowledged_by_event": self.by_event,
            "refused_by_reason": self.refused,
            "unanswered_by_reason": self.unanswered,
            "feeds": self.feeds,
            "what_is_lost": self.lost[:_SHOWN],
            "what_was_doubled": self.doubled[:_SHOWN],
            "what_was_stale": self.stale[:_SHOWN],
            "what_differs": self.lines[:_SHOWN],
        }

    def text(self) -> Iterator[str]:
        """For people."""
        yield f"{'fault':<20} {'fired':>9} {'median':>9} {'worst':>9}"
        for name, kind in self.by_fault().items():
            fired = f"{kind['fired']}/{kind['planned']}" if not kind["skipped"] else "skipped"
            middle, worst = _s(kind["median_recovery_seconds"]), _s(kind["worst_recovery_seconds"])
            yield f"{name:<20} {fired:>9} {middle:>9} {worst:>9}"
        refused, unanswered = sum(self.refused.values()), sum(self.unanswered.values())
        yield f"writes: {self.acknowledged:,} acknowledged, {refused:,} refused, {unanswered:,} not answered"
        yield f"lost: {len(self.lost)}, done twice: {len(self.doubled)}, stale reads: {len(self.stale)}"
        yield f"differences: {self.differences} over {self.events:,} events in {len(self.views)} views and emitters"
        yield from _some(self.lost)
        yield from _some(self.doubled)
        yield from _some(self.stale)
        yield from _some(self.lines)
        yield from (f"NOT WELL: {problem}" for problem in self.problems())


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"    {line}" for line in lines[:_SHOWN])


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
