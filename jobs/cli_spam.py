"""``shutterlog spam``: how good the spam score is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def spam(
    folder: Annotated[Path, typer.Argument(help="Folder of CSV files with columns CONTENT and CLASS (1 for spam).")],
    train: Annotated[bool, typer.Option("--train", help="Print weights learned from all of them, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score labelled comments: precision and recall of the weights in use, and of weights that never saw the file."""
    from jobs.spam import NoComments, report

    try:
        found = report(folder, training=train)
    except (NoComments, OSError) as error:
        typer.echo(f"shutterlog: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(found))
        return
    for key, value in found.items():
        typer.echo(f"{key:<16} {value}")
