"""Commands on accounts: ``accounts role`` and ``erase``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_options import DryRun, fail

accounts = typer.Typer(help="People's accounts.", no_args_is_help=True)


@accounts.callback()
def _group() -> None:
    """People's accounts."""


@accounts.command("role")
def role(
    user: Annotated[str, typer.Argument(metavar="USER", help="A username or an id.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="person, moderator or operator.")],
    dry_run: DryRun = False,
) -> None:
    """Make somebody a moderator or an operator, or a person like any other again. Their sessions end."""
    from jobs.accounts import AccountUnknown, RoleUnknown, change_role
    from sinks.errors import StoreAway
    from sinks.settings import Settings

    try:
        typer.echo(change_role(Settings(), user, role, dry_run=dry_run))
    except (AccountUnknown, RoleUnknown, StoreAway, LookupError) as error:
        fail(str(error))


def erase(
    users: Annotated[list[str] | None, typer.Argument(metavar="USER...", help="Usernames or ids.")] = None,
    again: Annotated[
        Path | None, typer.Option("--again", help="A file of --list: erase everybody in it, after a restore.")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Print the id of everybody who is erased.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Erase people for good: what they wrote, showed and did, in every view, and for ever in every copy of the log.

    Keep the output of --list apart from the backups: one that is older than an erasure brings the person back, until
    they are erased --again.
    """
    from jobs.accounts import AccountUnknown, erased
    from jobs.accounts import erase as erase_people
    from sinks.errors import StoreAway
    from sinks.settings import Settings

    if listing == bool(users or again):
        fail("say whom to erase, or --list")
    try:
        if listing:
            for user_id in erased(Settings()):
                typer.echo(user_id)
            return
        lines = again.read_text(encoding="utf-8").split() if again else []
        for line in erase_people(Settings(), [*(users or ()), *lines], dry_run=dry_run):
            typer.echo(line)
    except (AccountUnknown, StoreAway, LookupError, OSError) as error:
        fail(str(error))
