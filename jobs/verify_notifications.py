"""The rows of notifications, all six tables, against what was said."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from jobs.verify_differences import Differences, compare
from jobs.verify_fold import Fold
from sinks.cassandra import Cassandra
from sinks.scans import COLUMNS, scan_table
from sinks.view_tables import TABLES

Key = tuple[int, ...]
Values = tuple[object, ...]
Group = tuple[int, str, int]


def number_of(group: Group) -> int:
    """The id under which a group is kept."""
    recipient, kind, target = group
    digest = hashlib.blake2b(b"%d-%b-%d" % (recipient, kind.encode(), target), digest_size=8).hexdigest()
    return int(digest, 16) // 2


async def notifications(fold: Fold, cassandra: Cassandra, generation: int) -> Differences:
    """Every table, one after the other."""
    differences, told = Differences(), fold.told
    number = {group: number_of(group) for group in told.groups}

    async def check(table: str, expected: dict[Key, Values], values: Callable[[Any], Values] = tuple) -> None:
        await compare(differences, table, COLUMNS[table], expected, _rows(cassandra, generation, table, values))

    groups: dict[Key, Values] = {
        (group[0], number[group]): (*group[1:], said.post, said.code, said.reason, said.position, said.at)
        for group, said in told.groups.items()
    }
    await check("notification_groups", groups)
    days: dict[Key, Values] = {
        (person, day, number[group]): (position,) for (person, day, group), position in told.days.items()
    }
    await check("notification_days", days)
    causes: dict[Key, Values] = {
        (number[one.group], one.recipient, one.actor, one.comment): (said.position, said.at)
        for one, said in told.standing.items()
    }
    await check("notification_causes", causes)
    recents: dict[Key, Values] = {
        (number[group], group[0], position): said for (group, position), said in told.recents.items()
    }
    await check("notification_recents", recents)
    await check("notification_seen", {key: (at,) for key, at in told.seen.items()})
    preferences: dict[Key, Values] = {(person,): kinds for person, kinds in told.preferences.items()}
    await check("notification_preferences", preferences, lambda row: tuple(list(kinds or ()) for kinds in row))
    return differences


async def _rows(
    cassandra: Cassandra, generation: int, table: str, values: Callable[[Any], Values]
) -> AsyncIterator[tuple[Key, Values]]:
    width = len(TABLES[table].key)
    async for row in scan_table(cassandra, table, generation):
        yield tuple(row[:width]), values(row[width:])
