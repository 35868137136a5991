"""The tables of the views in Cassandra: their names by generation, their keys, and the DDL that makes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
    """Whether the rows of a partition stand in descending order of the other columns of the key."""
    expires: bool = False
    """Whether rows end: each is written whole, with ``expires_at`` in ms unless it never does, and from then on nobody
    is to be shown it, whether or not it is still there."""


_MADE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")

TABLES = {
    "accounts": Table("accounts", ("user_id",)),
    "followers": Table("follows", ("followee_id", "follower_id")),
    "following": Table("follows", ("follower_id", "followee_id")),
    "requests": Table("follows", ("followee_id", "follower_id")),
    "requested": Table("follows", ("follower_id", "followee_id")),
    "ties": Table("follows", ("user_id", "kind", "other_id")),
    "privacy": Table("follows", ("user_id", "changed_offset"), newest_first=True),
    "posts": Table("posts", ("post_id",)),
    "media": Table("posts", ("media_id",)),
    "user_posts": Table("user_posts", ("author_id", "post_id"), newest_first=True),
    "tagged_posts": Table("tagged_posts", ("name", "post_id"), newest_first=True),
    "seen_posts": Table("seen_posts", ("viewer_id", "post_id"), expires=True),
    "likes": Table("likes", ("post_id", "user_id")),
    "comments": Table("comments", ("post_id", "parent_id", "comment_id")),
    "comment_places": Table("comments", ("comment_id",)),
    "comment_pins": Table("comments", ("post_id", "comment_id")),
    "comment_switches": Table("comments", ("post_id",)),
    "notification_groups": Table("notifications", ("recipient_id", "group_id")),
    "notification_days": Table("notifications", ("recipient_id", "day", "group_id"), newest_first=True),
    "notification_causes": Table("notifications", ("group_id", "recipient_id", "actor_id", "comment")),
    "notification_recents": Table("notifications", ("group_id", "recipient_id", "position"), newest_first=True),
    "notification_seen": Table("notifications", ("recipient_id", "position"), newest_first=True),
    "notification_preferences": Table("notifications", ("recipient_id",)),
    "saves": Table("saves", ("user_id", "post_id", "collection_id"), newest_first=True),
    "collections": Table("saves", ("owner_id", "collection_id"), newest_first=True),
    "stories": Table("stories", ("story_id", "said"), expires=True),
    "user_stories": Table("stories", ("author_id", "story_id"), newest_first=True, expires=True),
    "highlights": Table("stories", ("author_id", "highlight_id"), newest_first=True),
    "highlight_stories": Table("stories", ("author_id", "highlight_id", "story_id"), newest_first=True),
    "kept_stories": Table("stories", ("story_id", "highlight_id")),
    "story_views": Table("story_views", ("story_id", "viewer_id"), expires=True),
    "story_reactions": Table("story_views", ("story_id", "viewer_id"), expires=True),
    "stories_seen": Table(
        "story_views", ("viewer_id", "author_id", "story_id", "kind"), newest_first=True, expires=True
    ),
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
    """Make the tables that are missing, the views' in ``generation``, and columns that older ones lack. Idempotent."""
    statements = list(ddl(generation))
    for statement in statements:
        await cassandra.change_schema(statement)
    await _add_columns(cassandra, statements)


async def make_tables(cassandra: Cassandra, view: str, generation: int) -> None:
    """Make the tables of one generation of ``view`` that are missing, and those that all views share. Idempotent."""
    others = set(view_tables(generation)) - set(view_tables(generation, view))
    statements = [one for one in ddl(generation) if (made := _MADE.match(one)) is None or made[1] not in others]
    for statement in statements:
        await cassandra.change_schema(statement)
    await _add_columns(cassandra, statements)


def ddl(generation: int) -> Iterator[str]:
    """Each statement of each ``*.cql`` file of ``sinks/cql``, in the order of names."""
    files = (file for file in resources.files("sinks.cql").iterdir() if file.name.endswith(".cql"))
    for file in sorted(files, key=lambda file: file.name):
        bare = re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8"))
        for statement in bare.replace(GENERATION, str(generation)).split(";"):
            if statement.strip():
                yield statement.strip()


async def _add_columns(cassandra: Cassandra, statements: Iterable[str]) -> None:
    """Add to tables that an earlier version made what ``statements`` have since gained.

    A view's new column holds what new events say, of which there were none when its rows were written: nothing has to
    be built anew for it.
    """
    found = await cassandra.execute(
        "SELECT table_name, column_name FROM system_schema.columns WHERE keyspace_name = ?", (cassandra.keyspace,)
    )
    there = {(row.table_name, row.column_name) for row in found}
    for statement in statements:
        made = _MADE.match(statement)
        for name, kind in columns_of(statement).items() if made else ():
            if made and (made[1], name) not in there:
                await cassandra.change_schema(f"ALTER TABLE {made[1]} ADD IF NOT EXISTS {name} {kind}")


def columns_of(statement: str) -> dict[str, str]:
    """The columns that a ``CREATE TABLE`` names, with their types."""
    body = statement[statement.index("(") + 1 : statement.rindex(")")]
    found: dict[str, str] = {}
    depth, part = 0, ""
    for letter in body + ",":
        depth += (letter in "(<") - (letter in ")>")
        if letter == "," and not depth:
            name, kind = part.split(maxsplit=1)
            if name.upper() != "PRIMARY":
                found[name] = kind.replace("PRIMARY KEY", "").strip()
            part = ""
        else:
            part += letter
    return found
