"""Loads the facts that ``streams.rules`` decides on: for one viewer and any number of people, in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from sinks.cassandra import KEYS_IN, Cassandra, Row, in_chunks
from sinks.view_tables import table_name
from streams.follows import BLOCKED_BY, BLOCKS, MUTES
from streams.rules import Facts, Relation, Standing, follow_counts

_PRIVACY_ROWS = 8
"""Changes looked at: the gateway says only those that change something, so two are enough but for crossing ones."""


class RelationReader:
    """What people have to do with each other, by the views ``follows`` and ``accounts``."""

    def __init__(self, cassandra: Cassandra, generation: int = 1, accounts_generation: int = 1) -> None:
        """``generation`` is that of the view ``follows``."""
        self._cassandra = cassandra
        following, requested, ties = (table_name(name, generation) for name in ("following", "requested", "ties"))
        privacy, accounts = table_name("privacy", generation), table_name("accounts", accounts_generation)
        self._accounts = f"SELECT user_id, deactivated, erased FROM {accounts} WHERE user_id IN ?"  # noqa: S608
        # A row is written at its record's offset + 1.
        self._follows = (
            f"SELECT followee_id, approved, WRITETIME(followed_at) AS written FROM {following} "  # noqa: S608
            "WHERE follower_id = ? AND followee_id IN ?"
        )
        self._requests = f"SELECT followee_id FROM {requested} WHERE follower_id = ? AND followee_id IN ?"  # noqa: S608
        self._ties = f"SELECT kind, other_id FROM {ties} WHERE user_id = ? AND kind IN ? AND other_id IN ?"  # noqa: S608
        self._all_ties = f"SELECT other_id FROM {ties} WHERE user_id = ? AND kind IN ?"  # noqa: S608
        self._privacy = (
            f"SELECT user_id, changed_offset, private FROM {privacy} "  # noqa: S608
            f"WHERE user_id IN ? PER PARTITION LIMIT {_PRIVACY_ROWS}"
        )

    async def facts(self, viewer_id: int | None, user_ids: Collection[int]) -> Facts:
        """The facts for ``viewer_id`` (None for a stranger) about ``user_ids``. Raises ``StoreAway``."""
        asked = set(user_ids)
        others = asked - {viewer_id}
        if not asked:
            return Facts(viewer_id, {}, {})
        privacy, accounts, follows, requests, ties = await asyncio.gather(
            self._changes_of_privacy(asked),
            in_chunks(self._cassandra, self._accounts, asked),
            self._of(viewer_id, self._follows, others),
            self._of(viewer_id, self._requests, others),
            self._of(viewer_id, self._ties, others, [BLOCKS, BLOCKED_BY, MUTES]),
        )
        gone = {row.user_id for row in accounts if row.deactivated or row.erased}
        standings = {
            user_id: Standing(private=user_id in privacy and privacy[user_id][0][1], gone=user_id in gone)
            for user_id in asked
        }
        following = {
            row.followee_id
            for row in follows
            if follow_counts(row.written - 1, bool(row.approved), privacy.get(row.followee_id, ()))
        }
        # What was said while the followee is private, and is not approved, is no more than a request.
        waiting = {row.followee_id for row in (*requests, *follows)} - following
        tied: dict[int, set[int]] = {BLOCKS: set(), BLOCKED_BY: set(), MUTES: set()}
        for row in ties:
            tied[row.kind].add(row.other_id)
        relations = {
            user_id: Relation(
                follows=user_id in following,
                requested=user_id in waiting,
                blocks=user_id in tied[BLOCKS],
                blocked=user_id in tied[BLOCKED_BY],
                mutes=user_id in tied[MUTES],
            )
            for user_id in following.union(waiting, *tied.values())
        }
        return Facts(viewer_id, standings, relations)

    async def tied(self, viewer_id: int) -> set[int]:
        """Everybody whom ``viewer_id`` blocks or mutes, or who blocks them. Raises ``StoreAway``."""
        rows = await self._cassandra.execute(self._all_ties, (viewer_id, [BLOCKS, BLOCKED_BY, MUTES]))
        return {row.other_id for row in rows}

    async def _changes_of_privacy(self, user_ids: Collection[int]) -> dict[int, list[tuple[int, bool]]]:
        found: dict[int, list[tuple[int, bool]]] = {}
        for row in await in_chunks(self._cassandra, self._privacy, user_ids):
            found.setdefault(row.user_id, []).append((row.changed_offset, row.private))
        return found

    async def _of(self, viewer_id: int | None, cql: str, others: Collection[int], *params: object) -> list[Row]:
        """Rows of the viewer's own partition; a stranger has none."""
        if viewer_id is None or not others:
            return []
        asked = list(others)
        chunks = [asked[n : n + KEYS_IN] for n in range(0, len(asked), KEYS_IN)]
        answers = await self._cassandra.execute_each((cql, (viewer_id, *params, chunk)) for chunk in chunks)
        return [row for rows in answers for row in rows]
