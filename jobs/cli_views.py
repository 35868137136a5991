"""The commands on whole views: ``replay``, ``rollback`` and ``views``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from jobs.cli_options import AsJson, DryRun, fail

View = Annotated[str, typer.Argument(help="A view, as `shutterlog views list` names it.")]
Show = Annotated[int, typer.Option(help="Differences to print.")]

views = typer.Typer(help="The views: what they are, and how they are.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command("replay")(_replay)
    app.command("rollback")(_rollback)
    app.add_typer(views, name="views")


def _replay(
    view: View,
    rate: Annotated[float, typer.Option(help="Events a second at most; 0 for as fast as possible.")] = 0.0,
    accept_differences: Annotated[
        bool, typer.Option("--accept-differences", help="Flip although the live view and the new one differ.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what is half built, and begin anew.")] = False,
    show: Show = 20,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Build a view anew from the log beside the live one, compare both, and flip to the new one where they are equal.

    Can be cut off at any moment: the same command goes on. Exit code 0 only where it flipped and the view's agents, if
    any run, have gone over.
    """
    from jobs.replay import replay
    from jobs.replay_plan import plan
    from jobs.replay_report import Wishes
    from sinks.settings import Settings

    if rate < 0:
        fail("--rate is in events a second, and 0 for as fast as possible")
    with _failures():
        if dry_run:
            planned = plan(Settings(), view, fresh=fresh)
            for line in [json.dumps(planned.to_json())] if as_json else planned.lines():
                typer.echo(line)
            return
        report = replay(Settings(), view, Wishes(rate, fresh, accept_differences), quiet=as_json)
    _print(report, show, as_json)


def _rollback(view: View, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Bring the newest kept generation of a view up to date, and flip back to it."""
    from jobs.replay import rollback
    from jobs.replay_plan import plan_of_rollback
    from sinks.settings import Settings

    with _failures():
        if dry_run:
            planned = plan_of_rollback(Settings(), view)
            for line in [json.dumps(planned.to_json())] if as_json else planned.lines():
                typer.echo(line)
            return
        report = rollback(Settings(), view, quiet=as_json)
    _print(report, 0, as_json)


@views.command("list")
def views_list(as_json: AsJson = False) -> None:
    """Each view: where it is, what it reads, its generations."""
    from jobs.views import listed
    from sinks.settings import Settings

    with _failures():
        report = listed(Settings())
    if as_json:
        typer.echo(json.dumps(report))
        return
    for name, one in report["views"].items():
        generations = ", ".join(f"{made['number']} {made['state']}" for made in one["generations"])
        typer.echo(f"{name:<14} {', '.join(one['stores']):<10} from {', '.join(one['sources']):<14} {generations}")


@views.command("status")
def views_status(as_json: AsJson = False) -> None:
    """Each view: its live generation, lag, size, last verify, taint and workers. Exit code 0 only if all are well.

    Sizes in Redis are its own MEMORY USAGE, of up to 1,000 keys drawn, times their number. Sizes in Cassandra are what
    the tables take on the disk of the node that answers, in steps of 1 MiB, without what was not flushed yet.
    """
    from jobs.views import status
    from sinks.settings import Settings

    with _failures():
        report = status(Settings())
    if as_json:
        typer.echo(json.dumps(report))
    else:
        for name, one in report["views"].items():
            typer.echo(f"{name:<14} {' · '.join(_said(one))}")
    if not report["well"]:
        raise typer.Exit(1)


@views.command("drop")
def views_drop(
    view: View,
    generation: Annotated[int, typer.Option(help="Its number; never that of the live one.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove a generation that is being built, or that is kept to go back to."""
    from jobs.views import drop
    from sinks.settings import Settings

    with _failures():
        removed = drop(Settings(), view, generation, dry_run=dry_run)
    if as_json:
        typer.echo(json.dumps({"view": view, "generation": generation, "removed": removed, "dry_run": dry_run}))
        return
    for line in removed:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {line}")


def _said(one: dict[str, Any]) -> Iterator[str]:
    others = [f"{made['number']} {made['state']}" for made in one["generations"] if made["state"] != "live"]
    yield f"generation {one['live']}" + (f" ({', '.join(others)})" if others else "")
    lag = one["lag"]
    yield f"{lag['events']:,} events behind ({lag['seconds']:,.1f} s)" if lag["events"] else "up to date"
    yield f"{one['size']['bytes'] / 2**20:,.1f} MiB ({one['size']['measured']})"
    verified = one["verified"]
    if verified:
        at = datetime.fromtimestamp(verified["at"] / 1000, UTC)
        yield f"verified {at:%Y-%m-%d %H:%M} UTC, {verified['differences']:,} differences"
    else:
        yield "never verified"
    yield f"{one['workers']} workers" if one["workers"] else "NO WORKERS: it stands still"
    if one["tainted"]["is"]:
        yield f"TAINTED: {one['tainted']['refused']} refused by replay, {one['tainted']['dead_letters']} in the DLQ"
    if one["fences"]:
        yield one["fences"]


def _print(report: Any, show: int, as_json: bool) -> None:
    for line in report.lines(show):
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    if not report.well:
        raise typer.Exit(1)


@contextmanager
def _failures() -> Iterator[None]:
    """What can go wrong, as a sentence and exit code 1."""
    from jobs.replay_views import UnknownView
    from sinks.errors import LogRemade, StoreAway
    from sinks.view_leases import LeaseHeld, LeaseLost

    try:
        yield
    except (UnknownView, LeaseHeld, LeaseLost, LogRemade, StoreAway, LookupError, ValueError) as error:
        fail(str(error))
