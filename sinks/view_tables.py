"""The tables of the views in Cassandra: their names by generation, their keys, and the DDL that makes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from sinks.cassandra import Cassandra

GENERATION = "{generation}"
"""Stands in the DDL where a table's name carries its generation."""


@dataclass(frozen=True)
class Table:
    """A table of a view. ``key`` is its whole primary key, of which the first column is the partition key."""

    view: str
    key: tuple[str, ...]
    newest_first: bool = False
    """Whether the rows of a partition stand in descending order of the second column of the key."""


_MADE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")

TABLES = {
    "accounts": Table("accounts", ("user_id",)),
    "followers": Table("follows", ("followee_id", "follower_id")),
    "following": Table("follows", ("follower_id", "followee_id")),
    "posts": Table("posts", ("post_id",)),
    "media": Table("posts", ("media_id",)),
    "user_posts": Table("user_posts", ("author_id", "post_id"), newest_first=True),
    "likes": Table("likes", ("post_id", "user_id")),
    "notifications": Table("notifications", ("recipient_id", "notification_id"), newest_first=True),
}
"""Every table that a projection may write, by the name it has there."""


def table_name(table: str, generation: int) -> str:
    """The name of ``table`` in Cassandra; raises KeyError for one that no view has."""
    if table not in TABLES:
        raise KeyError(f"no view has a table {table!r}")
    return f"{table}_{generation}"


def view_tables(generation: int, view: str | None = None) -> list[str]:
    """The names of the tables of ``view`` (of every view, without one) in ``generation``."""
    return [table_name(name, generation) for name, table in TABLES.items() if view in (None, table.view)]


async def apply_ddl(cassandra: Cassandra, generation: int = 1) -> None:
    """Make those tables that are missing, the views' in ``generation``. Idempotent; existing ones stay as they are."""
    for statement in ddl(generation):
        await cassandra.change_schema(statement)


async def make_tables(cassandra: Cassandra, view: str, generation: int) -> None:
    """Make the tables of one generation of ``view`` that are missing, and those that all views share. Idempotent."""
    others = set(view_tables(generation)) - set(view_tables(generation, view))
    for statement in ddl(generation):
        made = _MADE.match(statement)
        if made is None or made[1] not in others:
            await cassandra.change_schema(statement)


def ddl(generation: int) -> Iterator[str]:
    """Each statement of each ``*.cql`` file of ``sinks/cql``, in the order of names."""
    files = (file for file in resources.files("sinks.cql").iterdir() if file.name.endswith(".cql"))
    for file in sorted(files, key=lambda file: file.name):
        bare = re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8"))
        for statement in bare.replace(GENERATION, str(generation)).split(";"):
            if statement.strip():
                yield statement.strip()
