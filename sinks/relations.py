"""Loads the facts that ``streams.rules`` decides on: for viewers and any number of people, in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sinks.cassandra import KEYS_IN, Cassandra, Row, Statement, in_chunks
from sinks.view_tables import table_name
from streams.follows import BLOCKED_BY, BLOCKS, MUTES
from streams.rules import Facts, Relation, Standing, follow_counts

_PRIVACY_ROWS = 8
"""Changes looked at: the gateway says only those that change something, so two are enough but for crossing ones."""
_VIEWERS_IN = 20
"""Viewers asked for in one statement: each is looked up with the people of all of them."""


_Privacy = dict[int, list[tuple[int, bool]]]
"""(offset, private) of the changes of people, newest first."""


class _OfViewers(NamedTuple):
    """Statements on the partitions of viewers: of one, which the driver finds the node of, and of many."""

    one: str
    many: str


def _of_viewers(columns: str, table: str, viewer: str, others: str) -> _OfViewers:
    head = f"SELECT {viewer} AS viewer_id, {columns} FROM {table} WHERE {viewer}"  # noqa: S608
    return _OfViewers(f"{head} = ? AND {others}", f"{head} IN ? AND {others}")


class RelationReader:
    """What people have to do with each other, by the views ``follows`` and ``accounts``."""

    def __init__(self, cassandra: Cassandra, generation: int = 1, accounts_generation: int = 1) -> None:
        """``generation`` is that of the view ``follows``."""
        self._cassandra = cassandra
        following, requested, ties = (table_name(name, generation) for name in ("following", "requested", "ties"))
        privacy, accounts = table_name("privacy", generation), table_name("accounts", accounts_generation)
        self._accounts = f"SELECT user_id, deactivated, erased FROM {accounts} WHERE user_id IN ?"  # noqa: S608
        # A row is written at its record's offset + 1.
        columns = "followee_id AS other_id, approved, WRITETIME(followed_at) AS written"
        self._follows = _of_viewers(columns, following, "follower_id", "followee_id IN ?")
        self._requests = _of_viewers("followee_id AS other_id", requested, "follower_id", "followee_id IN ?")
        self._ties = _of_viewers("kind, other_id", ties, "user_id", "kind IN ? AND other_id IN ?")
        self._all_ties = f"SELECT other_id FROM {ties} WHERE user_id = ? AND kind IN ?"  # noqa: S608
        self._privacy = (
            f"SELECT user_id, changed_offset, private FROM {privacy} "  # noqa: S608
            f"WHERE user_id IN ? PER PARTITION LIMIT {_PRIVACY_ROWS}"
        )

    async def facts(self, viewer_id: int | None, user_ids: Collection[int]) -> Facts:
        """The facts for ``viewer_id`` (None for a stranger) about ``user_ids``. Raises ``StoreAway``."""
        return (await self.facts_of({viewer_id: user_ids}))[viewer_id]

    async def facts_of(self, asked: Mapping[int | None, Collection[int]]) -> dict[int | None, Facts]:
        """The facts for each viewer about the people whom ``asked`` names. Raises ``StoreAway``."""
        people: set[int] = set().union(*asked.values())
        if not people:
            return {viewer_id: Facts(viewer_id, {}, {}) for viewer_id in asked}
        privacy, accounts, follows, requests, ties = await asyncio.gather(
            self._changes_of_privacy(people),
            in_chunks(self._cassandra, self._accounts, people),
            self._of(asked, self._follows),
            self._of(asked, self._requests),
            self._of(asked, self._ties, [BLOCKS, BLOCKED_BY, MUTES]),
        )
        gone = {row.user_id for row in accounts if row.deactivated or row.erased}
        standings = {
            user_id: Standing(private=user_id in privacy and privacy[user_id][0][1], gone=user_id in gone)
            for user_id in people
        }
        found: dict[int | None, Facts] = {}
        for viewer_id, user_ids in asked.items():
            others = set(user_ids) - {viewer_id}
            standing = {user_id: standings[user_id] for user_id in user_ids}
            own = [
                [row for row in rows.get(viewer_id, ()) if row.other_id in others] for rows in (follows, requests, ties)
            ]
            found[viewer_id] = Facts(viewer_id, standing, _relations(own[0], own[1], own[2], privacy))
        return found

    async def tied(self, viewer_id: int) -> set[int]:
        """Everybody whom ``viewer_id`` blocks or mutes, or who blocks them. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._all_ties, (viewer_id, [BLOCKS, BLOCKED_BY, MUTES]))
        return {row.other_id for row in rows}

    async def _changes_of_privacy(self, user_ids: Collection[int]) -> _Privacy:
        found: _Privacy = {}
        for row in await in_chunks(self._cassandra, self._privacy, user_ids):
            found.setdefault(row.user_id, []).append((row.changed_offset, row.private))
        return found

    async def _of(
        self, asked: Mapping[int | None, Collection[int]], cql: _OfViewers, *params: object
    ) -> dict[int | None, list[Row]]:
        """Rows of the viewers' own partitions about the people whom they ask for, and maybe others. A stranger has
        none."""
        statements: list[Statement] = []
        viewers = [viewer_id for viewer_id in asked if viewer_id is not None and set(asked[viewer_id]) - {viewer_id}]
        for start in range(0, len(viewers), _VIEWERS_IN):
            some = viewers[start : start + _VIEWERS_IN]
            others = list({other for viewer_id in some for other in asked[viewer_id]})
            for chunk in (others[n : n + KEYS_IN] for n in range(0, len(others), KEYS_IN)):
                one = len(some) == 1
                statements.append((cql.one if one else cql.many, (some[0] if one else some, *params, chunk)))
        found: dict[int | None, list[Row]] = {}
        for rows in await self._cassandra.execute_each(statements):
            for row in rows:
                found.setdefault(row.viewer_id, []).append(row)
        return found


def _relations(
    follows: Collection[Row], requests: Collection[Row], ties: Collection[Row], privacy: _Privacy
) -> dict[int, Relation]:
    """What one viewer has to do with those of whom there are rows."""
    following = {
        row.other_id
        for row in follows
        if follow_counts(row.written - 1, bool(row.approved), privacy.get(row.other_id, ()))
    }
    # What was said while the followee is private, and is not approved, is no more than a request.
    waiting = {row.other_id for row in (*requests, *follows)} - following
    tied: dict[int, set[int]] = {BLOCKS: set(), BLOCKED_BY: set(), MUTES: set()}
    for row in ties:
        tied[row.kind].add(row.other_id)
    return {
        user_id: Relation(
            follows=user_id in following,
            requested=user_id in waiting,
            blocks=user_id in tied[BLOCKS],
            blocked=user_id in tied[BLOCKED_BY],
            mutes=user_id in tied[MUTES],
        )
        for user_id in following.union(waiting, *tied.values())
    }
