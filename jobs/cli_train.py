"""``shutterlog train``: models that jobs learn from the facts, and which version of one is in use."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from jobs.cli_options import AsJson, fail

train = typer.Typer(help="Learn models from the facts in ClickHouse.", no_args_is_help=True)


@train.command()
def ranking(
    days: Annotated[int, typer.Option(min=2, max=365, help="Impressions of so many days are learnt from.")] = 28,
    seed: Annotated[int, typer.Option(help="The same facts and seed give the same model.")] = 1,
    use: Annotated[str, typer.Option(help="Learn nothing: make this version the current one again.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Learn and evaluate, and publish nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn what people do with what their feeds show them; gateways rank by it some seconds later."""
    from jobs.train_ranking import TooFew
    from jobs.train_ranking import train as learn
    from sinks.clickhouse import Unanswerable
    from sinks.errors import StoreAway
    from sinks.ranking_models import Unusable, choose, load, models_folder
    from sinks.settings import Settings

    settings = Settings()
    found: dict[str, Any]
    try:
        if use:
            if dry_run:
                load(models_folder(settings), use)
            else:
                choose(models_folder(settings), use)
            found = {"version": use}
        else:
            found = learn(settings, days=days, seed=seed, dry_run=dry_run)
    except (StoreAway, Unanswerable, TooFew, Unusable, LookupError, OSError) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for key, value in found.items():
        typer.echo(f"{key:<12} {value if isinstance(value, str | None) else json.dumps(value, indent=2)}")


@train.command()
def explore(
    days: Annotated[int, typer.Option(min=1, help="What people did in so many days.")] = 180,
    most: Annotated[int, typer.Option(min=1, help="Rows at most, the newest.")] = 5_000_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Learn and evaluate, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn what people turned to who turned to the same; gateways explore by it some seconds later."""
    from jobs.train_explore import run
    from sinks.clickhouse import Unanswerable
    from sinks.errors import StoreAway
    from sinks.settings import Settings

    try:
        found = run(Settings(), days=days, most=most, dry_run=dry_run)
    except (StoreAway, Unanswerable, OSError, ValueError) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(found))
        return
    for key, value in found.items():
        typer.echo(f"{key:<10} {value}")
