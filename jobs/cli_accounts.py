"""Commands on accounts: ``accounts role``."""

from __future__ import annotations

from typing import Annotated

import typer

accounts = typer.Typer(help="People's accounts.", no_args_is_help=True)


@accounts.callback()
def _group() -> None:
    """People's accounts."""


@accounts.command("role")
def role(
    user: Annotated[str, typer.Argument(metavar="USER", help="A username or an id.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="person, moderator or operator.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and do nothing.")] = False,
) -> None:
    """Make somebody a moderator or an operator, or a person like any other again. Their sessions end."""
    from jobs.accounts import AccountUnknown, RoleUnknown, change_role
    from sinks.errors import StoreAway
    from sinks.settings import Settings

    try:
        typer.echo(change_role(Settings(), user, role, dry_run=dry_run))
    except (AccountUnknown, RoleUnknown, StoreAway, LookupError) as error:
        typer.echo(f"shutterlog: {error}", err=True)
        raise typer.Exit(1) from error
