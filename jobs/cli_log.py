"""Commands on the log itself: ``backup``, ``restore``, ``tail``, ``explain-feed``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from sinks.settings import Settings

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be done, do nothing.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's folder.")]
Keys = Annotated[Path | None, typer.Option(help="Folder of the keys and what else is secret; DIR/keys without.")]


@app.command()
def backup(folder: Folder, keys: Keys = None, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    """Back up the log (Avro container files), and the keys, usernames, passwords and uploads of Cassandra.

    Again into the same folder adds what is new; one that was killed goes on. Keep the keys apart from the log: where no
    older copy of them is kept, erasing a person's key reaches the backups too. Not in it: the object store (back up its
    folder or bucket by its own means), views (rebuilt), sessions and idempotency records (they end by themselves).
    """
    from jobs.backup import backup as run
    from jobs.backup_manifest import BackupRefused
    from sinks.errors import StoreAway

    try:
        report = run(_settings(), folder, keys, quiet=as_json, dry_run=dry_run)
    except (BackupRefused, StoreAway, LookupError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for line in report.lines(dry_run):
            typer.echo(line)


@app.command()
def restore(folder: Folder, keys: Keys = None, as_json: AsJson = False, dry_run: DryRun = False) -> None:
    """Restore a backup into an empty world: services up, agents not yet started. One that was killed goes on.

    Every record gets its offset, key, headers and timestamp back; views are rebuilt by the agents. Not restored: the
    object store (bring its folder or bucket back by its own means, before the agents start), sessions.
    """
    from jobs.backup_manifest import BackupRefused
    from jobs.restore import restore as run
    from sinks.errors import StoreAway
    from sinks.registry import RegistryRefused
    from sinks.topics import TopicsUnfit

    try:
        report = run(_settings(), folder, keys, quiet=as_json, dry_run=dry_run)
    except (BackupRefused, RegistryRefused, StoreAway, TopicsUnfit, LookupError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for line in report.lines(dry_run):
            typer.echo(line)


def _settings() -> Settings:
    from sinks.settings import Settings

    return Settings()


def _fail(reason: str) -> NoReturn:
    typer.echo(f"shutterlog: {reason}", err=True)
    raise typer.Exit(1)
