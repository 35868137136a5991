"""What is in Cassandra and nowhere else: what a backup has to take along with the log, and what it leaves out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice
from typing import Any

from sinks.cassandra import Cassandra

KEPT: Mapping[str, Mapping[str, str]] = {
    "person_keys": {"user_id": "bigint", "sealing_key": "blob"},
    "usernames": {
        "username": "text",
        "user_id": "bigint",
        "reserved_at": "bigint",
        "confirmed": "boolean",
        "replaced_at": "bigint",
    },
    "username_skeletons": {"skeleton": "text", "username": "text", "user_id": "bigint", "reserved_at": "bigint"},
    "credentials": {
        "user_id": "bigint",
        "password_hash": "text",
        "profile_token": "text",
        "deactivated": "boolean",
        "email": "blob",
    },
    "email_owners": {"lookup": "blob", "user_id": "bigint"},
    "uploads": {"media_id": "bigint", "owner_id": "bigint"},
}
"""Tables that cannot be rebuilt, with the types of their columns, the key first."""
LEFT_OUT = {
    "sessions": "people log in again",
    "person_sessions": "as sessions",
    "push_subscriptions": "they end with their sessions",
    "push_claims": "nothing is pushed to devices of before, either",
    "mail_tokens": "people ask for another mail",
    "idempotency": "a retry with an Idempotency-Key of before the backup counts as a new request",
    "submissions": "answers for posts until a view has them, for three days at most",
    "verifications": "each view is verified anew",
    "view_leases": "they end with their owners",
    "replay_poison": "of generations that are not restored",
}
"""Tables that end by themselves or are about the views as they were, and what is lost without them."""
REBUILT = (
    "publishing_media",
    "publishing_removed",
    "saga_privacy",
    "saga_pairs",
    "saga_waiting",
    "saga_likes",
    "saga_deeds",
    "saga_erased",
    "rendition_uses",
    "rendition_keys",
    "fences",
)
"""Tables that the log gives again, besides those of the views."""

_AT_ONCE = 1000


async def scan_kept(cassandra: Cassandra, table: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Every row of ``table``, page by page, in no order. Raises ``StoreAway``."""
    columns = KEPT[table]
    async for page in cassandra.pages(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608 (names of ours)
        yield [dict(zip(columns, row, strict=True)) for row in page]


async def restore_kept(cassandra: Cassandra, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write ``rows`` into ``table``, and say how many there were; the same again changes nothing. Raises ``StoreAway``.

    They are as old as can be, so that whatever a gateway has written since stays.
    """
    columns = tuple(KEPT[table])
    holes = ", ".join("?" * len(columns))
    rest, done = iter(rows), 0
    while some := list(islice(rest, _AT_ONCE)):
        await cassandra.execute_each(_insert(table, columns, holes, row) for row in some)
        done += len(some)
    return done


def _insert(table: str, columns: tuple[str, ...], holes: str, row: Mapping[str, Any]) -> tuple[str, list[Any]]:
    set_columns = columns if all(row[name] is not None for name in columns) else None
    if set_columns is None:  # a null would be a tombstone: leave it out
        set_columns = tuple(name for name in columns if row[name] is not None)
        holes = ", ".join("?" * len(set_columns))
    names = ", ".join(set_columns)
    cql = f"INSERT INTO {table} ({names}) VALUES ({holes}) USING TIMESTAMP 1"  # noqa: S608 (names of ours)
    return cql, [row[name] for name in set_columns]


async def tables_with_rows(cassandra: Cassandra) -> list[str]:
    """The tables of the keyspace that are not empty, by name. Raises ``StoreAway``."""
    found = await cassandra.execute(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (cassandra.keyspace,)
    )
    names = sorted(row.table_name for row in found)
    answers = await cassandra.execute_each((f"SELECT * FROM {name} LIMIT 1", ()) for name in names)  # noqa: S608
    return [name for name, rows in zip(names, answers, strict=True) if rows]
