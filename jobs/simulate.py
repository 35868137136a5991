"""``shutterlog simulate``: a world with a given follow graph and given pictures, into the log or through the API."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from jobs.graphs import Graph, make_graph, read_graph
from jobs.photos import make_photos, read_photos
from jobs.simulate_counts import named
from jobs.simulate_kills import Killer
from jobs.simulate_log import LogSimulation, Moved, count
from jobs.world import Plan, Reuse, Step, World, event_of
from jobs.world_doings import doings
from schemas.codec import encode
from sinks.settings import Settings

API_PEOPLE = 300
"""Argon2 takes 0.1 s for each person."""


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. ``rate`` is in events a second, 0 for as fast as possible."""

    plan: Plan
    graph: Path | None = None
    directed: bool | None = None
    people: int = 1000
    photos: Path | None = None
    templates: int = 8
    via: str = "log"
    kills: int = 0
    rate: float = 0.0


def simulate(settings: Settings, wishes: Wishes, *, quiet: bool = False, dry_run: bool = False) -> dict[str, Any]:
    """Make the world and live it; the counts of what was done, as ``--json`` prints them.

    With ``dry_run`` nothing is touched: the counts are those of what would be done, and ``digest``, the SHA-256 of all
    events, is equal for equal seeds. Raises ``ValueError`` for wishes that do not fit together, and what stores raise.
    """
    if wishes.via == "api" and wishes.people > API_PEOPLE:
        raise ValueError(f"--via api takes at most {API_PEOPLE} people: see --people")
    if wishes.via not in ("log", "api"):
        raise ValueError(f"--via is log or api, not {wishes.via}")
    if wishes.via == "api" and (wishes.kills or wishes.rate):
        raise ValueError("--kill-agents and --rate go with --via log")
    if wishes.plan.until > time.time() * 1000:
        raise ValueError("--until lies in the future: no event may be later than the broker's clock")
    world = _world(wishes)
    if dry_run:
        return _rehearsed(world)
    began = time.monotonic()
    with _progress(quiet) as (moved, tell):
        if wishes.via == "api":
            from jobs.simulate_api import ApiSimulation

            through_api = ApiSimulation(settings, world, moved)
            asyncio.run(through_api.run())
            return {"via": "api", **through_api.report(), "seconds": round(time.monotonic() - began, 3)}
        killer = Killer(settings, wishes.kills, wishes.plan.seed, tell) if wishes.kills else None
        rate = wishes.rate
        if killer is not None and not rate:
            rate = wishes.plan.events / killer.seconds
        simulation = LogSimulation(settings, world, moved, killer, rate)
        asyncio.run(simulation.run())
    report = {"via": "log", **_counts(simulation.counts), "seconds": round(time.monotonic() - began, 3)}
    report["phases"] = simulation.seconds
    report["kills"] = [asdict(kill) for kill in killer.kills] if killer else []
    return report


def _world(wishes: Wishes) -> World:
    seed = wishes.plan.seed
    graph = read_graph(wishes.graph, wishes.directed) if wishes.graph else make_graph(wishes.people, seed)
    if wishes.via == "api" and graph.people > wishes.people:
        graph = _first(graph, wishes.people)
    photos = read_photos(wishes.photos, wishes.templates) if wishes.photos else make_photos(wishes.templates, seed)
    return World(graph, photos, wishes.plan)


def _first(graph: Graph, people: int) -> Graph:
    """The graph among the first ``people``."""
    kept = (graph.followers < people) & (graph.followees < people)
    return Graph(people, graph.followers[kept], graph.followees[kept])


def _rehearsed(world: World) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    digest = hashlib.sha256()

    def heard(steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            digest.update(repr(step).encode() if isinstance(step, Reuse) else encode(event_of(step)))
            yield step

    counts["accounts"] = sum(1 for _ in heard(world.accounts()))
    counts["templates"] = sum(1 for _ in heard(world.templates()))
    counts["graph_follows"] = sum(1 for _ in heard(world.follows()))
    count(counts, heard(doings(world)))
    return {"dry_run": True, **_counts(counts), "digest": digest.hexdigest()}


def _counts(counts: Counter[str]) -> dict[str, int]:
    return {
        "accounts": counts["accounts"],
        "graph_follows": counts["graph_follows"],
        "templates": counts["templates"],
        **named(counts),
        "torn_uploads": counts["torn"],
        "reused_renditions": counts["reused"],
    }


@contextmanager
def _progress(quiet: bool) -> Iterator[tuple[Moved, Any]]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet) as progress:
        tasks: dict[str, TaskID] = {}

        def moved(phase: str, done: int, of: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=of or None)
            progress.update(tasks[phase], completed=done)

        yield moved, console.print
