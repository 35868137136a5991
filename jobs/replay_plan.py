"""What a replay or a rollback would do, for ``--dry-run``: nothing is changed to find out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jobs.replay_views import ReplayStores, view_named
from sinks.generations import Generation, GenerationLog, Generations
from sinks.settings import Settings
from sinks.sink import Sink
from streams.records import TopicPartition
from streams.views import View


@dataclass(frozen=True)
class Plan:
    """``events``: about how many would be read (transaction markers among them). ``drops``: what ``--fresh`` would
    remove."""

    view: str
    live: int
    generation: int
    resumes: bool
    events: int
    drops: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``--dry-run --json`` prints: ``view``, ``live``, ``generation`` (that would be live), ``resumes``,
        ``events``, ``drops`` (a number, or null), ``dry_run`` (true)."""
        return {
            "view": self.view,
            "live": self.live,
            "generation": self.generation,
            "resumes": self.resumes,
            "events": self.events,
            "drops": self.drops,
            "dry_run": True,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.drops is not None:
            yield f"would drop generation {self.drops}, which is being built"
        verb = "go on with" if self.resumes else "build"
        yield f"would {verb} generation {self.generation} of {self.view}: {self.events:,} events to read"
        yield f"would flip from generation {self.live} to {self.generation}"


def plan(settings: Settings, name: str, *, fresh: bool) -> Plan:
    """Of ``replay``. Raises as it does."""
    view = view_named(name)
    generations = GenerationLog(settings).of(name)
    building = generations.building()
    if building is None or fresh:
        drops = building.number if building else None
        return asyncio.run(_plan(settings, view, generations, None, generations.highest + 1, drops))
    return asyncio.run(_plan(settings, view, generations, building, building.number, None))


def plan_of_rollback(settings: Settings, name: str) -> Plan:
    """Of ``rollback``. Raises as it does."""
    view = view_named(name)
    generations = GenerationLog(settings).of(name)
    kept = chosen_to_roll_back(generations)
    return asyncio.run(_plan(settings, view, generations, kept, kept.number, None))


def chosen_to_roll_back(generations: Generations) -> Generation:
    """The generation that ``rollback`` goes to; raises LookupError."""
    kept = generations.kept()
    if kept is None:
        raise LookupError(
            f"{generations.view} has no generation that was live before: there is none to go back to beside "
            f"generation {generations.live}"
        )
    return kept


async def _plan(
    settings: Settings,
    view: View[Any],
    generations: Generations,
    found: Generation | None,
    number: int,
    drops: int | None,
) -> Plan:
    async with ReplayStores(settings) as stores:
        if found is not None:
            await stores.ready(view)
        every = await asyncio.to_thread(stores.topics.ends)
        ends = {tp: end for tp, end in every.items() if tp.topic in view.sources}
        at: dict[TopicPartition, int] = dict.fromkeys(ends, -1)
        if found is not None:
            sink: Sink[Any] = stores.live_sink(view, number)
            at = await sink.fences(list(ends))
            bulk = stores.bulk_sink(view, number)
            if found.state == "building" and bulk is not None and max(at.values()) < 0:
                at = await bulk.fences(list(ends))
    events = sum(max(end - at[tp], 0) for tp, end in ends.items())
    return Plan(view.name, generations.live, number, found is not None, events, drops)
