"""What commands have in common: their options, and how they fail."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")]


def fail(reason: str) -> NoReturn:
    """End the command with one sentence, and status 1."""
    typer.echo(f"shutterlog: {reason}", err=True)
    raise typer.Exit(1)
