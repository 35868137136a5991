"""Commands on the log itself: ``backup``, ``restore``, ``tail``, ``explain-feed``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.cli_options import AsJson, fail

if TYPE_CHECKING:
    from sinks.settings import Settings

app = typer.Typer()

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
        fail(str(error))
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
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for line in report.lines(dry_run):
            typer.echo(line)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="A topic of the log, its .dlq, or generations.")],
    start: Annotated[str, typer.Option("--from", help="OFFSET, TIME (ISO 8601, UTC), beginning or end.")] = "",
    end: Annotated[str, typer.Option("--to", help="The same: up to there, and without it.")] = "",
    partition: Annotated[int | None, typer.Option(help="Only this one.")] = None,
    key: Annotated[str | None, typer.Option(help="Only records under this key, such as a user's id.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only such events; may be repeated.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="FIELD=VALUE; may be repeated: all must hold.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="From the end on, until Ctrl-C.")] = False,
    limit: Annotated[int | None, typer.Option(help="So many records at most.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines; sealed fields in base64.")] = False,
) -> None:
    """Show the log's records, decoded, one a line, in the order of each partition. Sealed fields stay sealed."""
    from jobs.tail import TailRefused, Wanted, conditions, for_people
    from jobs.tail import tail as run
    from sinks.errors import StoreAway

    try:
        found = Wanted(topic, start, end, partition, key, types or (), conditions(where or ()), follow, limit)
        for line in run(_settings(), found):
            print(json.dumps(line) if as_json else for_people(line), flush=follow)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads has enough. Python would complain once more at its end, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        if not follow:
            raise
    except (TailRefused, StoreAway, LookupError) as error:
        fail(str(error))


@app.command("explain-feed")
def explain_feed(
    user: Annotated[str, typer.Argument(help="An id or a username.")],
    post: Annotated[int | None, typer.Option("--post", metavar="POST_ID", help="This post alone.")] = None,
    limit: Annotated[int, typer.Option(help="So many of the newest posts.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Why each post is in a person's feed, or is not, with its places in the log; exit code 1 if one is missing."""
    from jobs.explain_feed import UnknownPerson, explain
    from sinks.errors import StoreAway

    try:
        report = explain(_settings(), user, post, limit)
    except (UnknownPerson, StoreAway, LookupError) as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        for line in report.lines():
            typer.echo(line)
    if report.differences:
        raise typer.Exit(1)


def _settings() -> Settings:
    from sinks.settings import Settings

    return Settings()
