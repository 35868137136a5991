"""``shutterlog chaos``: whatever is killed, nothing is lost and nothing counts twice."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_options import AsJson, DryRun, fail

app = typer.Typer()


@app.command()
def chaos(
    minutes: Annotated[float, typer.Option(help="As many faults as fit in, on a usual machine: five a minute.")] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same plan of faults.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help='Only this kind of fault, such as "kill redis".')] = None,
    clusters: Annotated[bool, typer.Option(help="Of every store several nodes, and faults of these.")] = False,
    other: Annotated[
        Path | None, typer.Option(help="With --clusters: another checkout, to which workers are rolled over, and back.")
    ] = None,
    allow_skipped: Annotated[
        bool, typer.Option(help="Exit code 0 also where this machine does not permit some fault of the plan.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Write a page with a timeline into this HTML file.")] = None,
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of the stack that is broken; must not exist. Logs are left there if it goes wrong."),
    ] = None,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Break a stack of its own, one fault after another, under load, and see whether anything is lost.

    Exit code 0 only when every acknowledged write is in the log, no view differs from it, and every fault of the plan
    fired and was recovered from; with --allow-skipped, every one that this machine permits.
    """
    from jobs.chaos import Wishes
    from jobs.chaos import chaos as run
    from jobs.chaos_plan import plan
    from jobs.services.failures import StackError

    folder = home or Path(tempfile.gettempdir()) / f"shutterlog-chaos-{seed}-{_now()}"
    try:
        if dry_run:
            for fault in plan(minutes, seed, only or (), clusters=clusters):
                typer.echo(f"{fault.number:3d}  {fault.name:<20} for {fault.seconds:4.1f} s after {fault.pause:.1f} s")
            return
        wishes = Wishes(
            minutes, seed, folder, tuple(only or ()), clusters=clusters, allow_skipped=allow_skipped, other=other
        )
        report, shown = run(wishes, lambda line: typer.echo(line, err=True))
    except (ValueError, StackError) as error:
        fail(str(error))
    if page is not None:
        page.write_text(shown)
    for line in report.text():
        typer.echo(line, err=as_json)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    if not report.well:
        raise typer.Exit(1)


def _now() -> str:
    import time

    return f"{time.time_ns():x}"
