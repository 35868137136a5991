"""Reads the ``notifications`` view: groups, newest first, with the causes that stand now, counted anew at each read.

A group is what its cause rows say, so its count is exact after any undoing and can drift from nothing. Groups of up to
``WHOLE`` causes are read whole, a page of them in one round trip. Of a larger one its newest actors are found by its
recents, and the others are counted by Cassandra.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.view_tables import table_name
from streams.notifications import BY_POSTS, DAY_MS

WHOLE = 500
"""Causes up to which a group is read whole."""
ACTORS = 3
"""Newest actors that a group names."""
_PAGE = 200
_RECENTS = 20


class GroupRow(NamedTuple):
    """A group as it was last told of, at ``position`` and ``at``; ``target`` and ``post`` as in ``Notified``."""

    group_id: int
    kind: str
    target: int
    post: int
    code: str | None
    reason: str | None
    position: int
    at: int

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the others: the day, then the position."""
        return self.at // DAY_MS, self.position


@dataclass
class Standing:
    """What stands of a group now. ``actors`` are its newest, newest first; ``total`` counts all, each once.

    ``position``, ``at`` and ``comment`` are those of the newest cause. Nothing stands where ``total`` is 0.
    """

    actors: list[int] = field(default_factory=list)
    total: int = 0
    position: int = -1
    at: int = 0
    comment: int = 0

    def count(self, causes: Iterable[Row]) -> None:
        """Fold ``causes``, newest first, of as many actors as there are."""
        actors: dict[int, None] = {}
        for cause in causes:
            if self.position < 0:
                self.position, self.at, self.comment = cause.position, cause.at, cause.comment
            actors.setdefault(cause.actor_id)
        self.actors, self.total = list(actors)[:ACTORS], len(actors)


class Preferences(NamedTuple):
    """Kinds that a person is not told of, and those that are not pushed."""

    silenced: frozenset[str] = frozenset()
    unpushed: frozenset[str] = frozenset()


class Audience(Protocol):
    """Of whom one recipient may be told."""

    async def unwelcome(self, actors: Collection[int]) -> Collection[int]:
        """Those of ``actors`` of whom they may not. Raises ``StoreAway``."""

    async def standing_comments(self, comment_ids: Collection[int]) -> Collection[int]:
        """Those of ``comment_ids`` that were not deleted. Raises ``StoreAway``."""

    async def naming(self, post_ids: Collection[int]) -> Mapping[int, str]:
        """As what each of ``post_ids`` names them now. Raises ``StoreAway``."""

    async def tied(self) -> Collection[int]:
        """Everybody of whom they may not for what stands between the two, and maybe more. Raises ``StoreAway``."""


class NotificationReader:
    """The notifications of one person. Raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        named = {
            name: table_name(f"notification_{name}", generation)
            for name in ("groups", "days", "causes", "recents", "seen", "preferences")
        }
        of_group = "WHERE group_id IN ? AND recipient_id = ?"
        cause = "group_id, actor_id, comment, position, at"
        groups = f"SELECT {', '.join(GroupRow._fields)} FROM {named['groups']} WHERE recipient_id = ?"  # noqa: S608
        days = f"SELECT day, group_id, position FROM {named['days']} WHERE recipient_id = ?"  # noqa: S608
        self._groups = f"{groups} AND group_id IN ?"
        self._since = f"{groups} AND position > ? ALLOW FILTERING"  # within one partition
        self._last = f"SELECT MAX(position) AS position FROM {named['groups']} WHERE recipient_id = ?"  # noqa: S608
        self._days = f"{days} AND day <= ? LIMIT ?"
        self._day = f"{days} AND day = ?"
        self._causes = f"SELECT {cause} FROM {named['causes']} {of_group} PER PARTITION LIMIT ?"  # noqa: S608
        self._all_causes = f"SELECT {cause} FROM {named['causes']} {of_group}"  # noqa: S608
        self._of_actors = f"{self._all_causes} AND actor_id IN ?"
        self._count = f"SELECT COUNT(*) AS total FROM {named['causes']} {of_group}"  # noqa: S608
        self._recents = f"SELECT {cause} FROM {named['recents']} {of_group} AND position < ? LIMIT ?"  # noqa: S608
        self._seen = f"SELECT position FROM {named['seen']} WHERE recipient_id = ? LIMIT 1"  # noqa: S608
        self._preferences = f"SELECT silenced, unpushed FROM {named['preferences']} WHERE recipient_id = ?"  # noqa: S608

    async def groups(self, recipient_id: int, before: tuple[int, int], limit: int) -> list[GroupRow]:
        """The ``limit`` groups, or a few more, that were last told of before the place ``before``, newest first. Fewer
        only where there are no more."""
        found: list[GroupRow] = []
        day = before[0]
        while len(found) < limit:
            rows = await self._cassandra.execute(self._days, (recipient_id, day, _PAGE))
            full = len(rows) == _PAGE
            if full:
                # Within a day, order is by position: the last day is read whole, or left to the next round.
                last = rows[-1].day
                rows = [row for row in rows if row.day > last]
                if not rows:
                    rows, last = await self._cassandra.execute(self._day, (recipient_id, last)), last - 1
            known = await self._known(recipient_id, [row.group_id for row in rows])
            # A group that went on later is shown there; the group's own row may still be on its way.
            current = [one for row in rows if (one := known.get(row.group_id)) and one.position == row.position]
            found += sorted((row for row in current if row.place < before), key=lambda row: row.place, reverse=True)
            if not full:
                break
            day = last
        return found

    async def since(self, recipient_id: int, position: int) -> list[GroupRow]:
        """Every group that was told of after ``position``, in no order."""
        return [GroupRow(*row) for row in await self._cassandra.execute(self._since, (recipient_id, position))]

    async def last_position(self, recipient_id: int) -> int:
        """The highest position of all; -1 where there is nothing."""
        (row,) = await self._cassandra.execute(self._last, (recipient_id,))
        return -1 if row.position is None else int(row.position)

    async def seen(self, recipient_id: int) -> int:
        """The position up to which everything was seen; -1 for nothing."""
        rows = await self._cassandra.execute(self._seen, (recipient_id,))
        return int(rows[0].position) if rows else -1

    async def preferences(self, recipient_id: int) -> Preferences:
        """What they want to be told of."""
        rows = await self._cassandra.execute(self._preferences, (recipient_id,))
        return Preferences(*(frozenset(kinds or ()) for kinds in rows[0])) if rows else Preferences()

    async def standing(
        self, recipient_id: int, groups: Mapping[int, tuple[str, int]], audience: Audience
    ) -> dict[int, Standing]:
        """What stands of each of ``groups`` (id → kind and post), by those of whom ``audience`` may be told.

        What a post told of by itself stands while it names the recipient so. In a group of more than ``WHOLE`` causes
        those who went away (deactivated) are not named, but counted.
        """
        posts = {post for kind, post in groups.values() if kind in BY_POSTS}
        rows, naming = await asyncio.gather(
            in_chunks(self._cassandra, self._causes, groups, recipient_id, WHOLE + 1), audience.naming(posts)
        )
        silent = {
            group_id for group_id, (kind, post) in groups.items() if kind in BY_POSTS and naming.get(post) != kind
        }
        causes: dict[int, list[Row]] = {group_id: [] for group_id in groups}
        for row in rows:
            if row.comment or row.group_id not in silent:
                causes[row.group_id].append(row)
        large = {group_id: some for group_id, some in causes.items() if len(some) > WHOLE}
        actors = {row.actor_id for row in rows if row.group_id not in large}
        hidden = await audience.unwelcome(actors) if actors else ()
        comments = {row.comment for row in rows if row.comment and row.group_id not in large}
        said = await audience.standing_comments(comments) if comments else ()
        found = {group_id: _whole(some, hidden, said) for group_id, some in causes.items() if group_id not in large}
        for group_id, some in large.items():
            comments_too = any(row.comment for row in some)
            found[group_id] = await self._large(recipient_id, group_id, comments_too, group_id in silent, audience)
        return found

    async def _known(self, recipient_id: int, group_ids: Collection[int]) -> Mapping[int, GroupRow]:
        rows: list[Row] = []
        distinct = list(dict.fromkeys(group_ids))
        for start in range(0, len(distinct), 100):
            rows += await self._cassandra.execute(self._groups, (recipient_id, distinct[start : start + 100]))
        return {row.group_id: GroupRow(*row) for row in rows}

    async def _large(
        self, recipient_id: int, group_id: int, comments: bool, silent: bool, audience: Audience
    ) -> Standing:
        """A group with more than ``WHOLE`` causes. Those with comments are read whole nevertheless: several may be of
        one actor, and fewer people comment than like. ``silent``: only what comments say counts."""
        if comments:
            rows = await self._cassandra.execute(self._all_causes, ([group_id], recipient_id))
            rows = [row for row in rows if row.comment or not silent]
            said = await audience.standing_comments({row.comment for row in rows})
            return _whole(rows, await audience.unwelcome({row.actor_id for row in rows}), said)
        (counted,) = await self._cassandra.execute(self._count, ([group_id], recipient_id))
        left_out = len(await self._actors(recipient_id, group_id, list(await audience.tied())))
        standing, newest = Standing(), list[Row]()
        before = 2**63 - 1
        while len(newest) < ACTORS:
            recents = await self._cassandra.execute(self._recents, ([group_id], recipient_id, before, _RECENTS))
            hidden = await audience.unwelcome({row.actor_id for row in recents})
            welcome = [row for row in recents if row.actor_id not in hidden]
            now = await self._actors(recipient_id, group_id, [row.actor_id for row in welcome])
            newest += [row for row in welcome if now.get(row.actor_id) == row.position]
            if len(recents) < _RECENTS:
                break
            before = recents[-1].position
        standing.count(newest)
        standing.total = counted.total - left_out
        return standing

    async def _actors(self, recipient_id: int, group_id: int, actors: list[int]) -> dict[int, int]:
        """Those of ``actors`` whose cause stands, and its position."""
        found: dict[int, int] = {}
        for start in range(0, len(actors), 100):
            part = actors[start : start + 100]
            rows = await self._cassandra.execute(self._of_actors, ([group_id], recipient_id, part))
            found |= {row.actor_id: row.position for row in rows}
        return found


def _whole(causes: Iterable[Row], hidden: Collection[int], said: Collection[int]) -> Standing:
    """``said``: the comments that stand."""
    standing = Standing()
    shown = [row for row in causes if row.actor_id not in hidden and (not row.comment or row.comment in said)]
    standing.count(sorted(shown, key=lambda row: row.position, reverse=True))
    return standing
