"""Rows that a gateway keeps of the views ``posts``, ``accounts`` and ``follows``, as long as they are what those hold.

Nothing is answered for being kept: who asks brings how far the views are applied (``sinks.versions``), and what was
read at another fence of its partition is read anew. So a deletion, a block or an edit counts from the moment in which
its view's fence has passed it, as it does for who waits for a consistency token.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sinks.accounts import AccountReader, AccountRow
from sinks.posts import PostReader, PostRow
from sinks.producer import partition_of
from sinks.relations import RelationReader
from sinks.versions import Applied, Versions
from streams.records import TopicPartition
from streams.rules import NO_RELATION, Facts, Relation, Standing

POSTS, PEOPLE, VIEWERS, RELATED = 10_000, 20_000, 2_000, 500
"""How many are kept: posts (some 6 KiB each with what is made of them), people, viewers, and people for each viewer."""
VIEWS = ("posts", "accounts", "follows")
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class Kept(Generic[Value]):
    """A row as it was read at a fence, and what its reader has made of it."""

    row: Value
    fence: int
    made: Any = None


_Tie = tuple[tuple[int, ...], Standing, Relation]
"""What a viewer has to do with somebody, at the fences of both sides."""


class Remembered:
    """Rows of one generation of each of ``VIEWS``. Every method that loads raises ``StoreAway``."""

    def __init__(
        self,
        versions: Versions,
        posts: PostReader,
        accounts: AccountReader,
        relations: RelationReader,
        partitions: int,
    ) -> None:
        """``partitions``: of each topic."""
        self._versions, self._partitions = versions, partitions
        self._posts, self._accounts, self._relations = posts, accounts, relations
        self._rows: OrderedDict[int, Kept[PostRow]] = OrderedDict()
        self._people: OrderedDict[int, Kept[AccountRow | None]] = OrderedDict()
        self._viewers: OrderedDict[int, OrderedDict[int, _Tie]] = OrderedDict()

    async def applied(self) -> Applied:
        """How far the views are, asked from now on."""
        return await self._versions.now()

    async def posts(self, post_ids: Sequence[int], applied: Applied) -> dict[int, Kept[PostRow]]:
        """Those of ``post_ids`` of which the view knows anything, in their order."""
        fences = applied["posts"]
        found: dict[int, Kept[PostRow]] = {}
        for post_id in post_ids:
            kept = self._rows.get(post_id)
            if kept is not None and kept.fence == self._fence(fences, "posts", kept.row.author_id):
                found[post_id] = kept
        missing = [post_id for post_id in post_ids if post_id not in found]
        if not missing:
            return found
        for post_id, row in (await self._posts.by_ids(missing)).items():
            found[post_id] = Kept(row, self._fence(fences, "posts", row.author_id))
            _keep(self._rows, post_id, found[post_id], POSTS)
        return {post_id: found[post_id] for post_id in post_ids if post_id in found}

    async def about(
        self, viewer_id: int, user_ids: Collection[int], applied: Applied
    ) -> tuple[Facts, dict[int, Kept[AccountRow | None]]]:
        """What the viewer has to do with ``user_ids``, for the rules, and their accounts: None where the view does not
        know one. What has to be read of both is read at once."""
        people, strange = self._known_people(user_ids, applied["accounts"])
        related, now, unrelated = self._known_facts(viewer_id, user_ids, applied)
        if strange and unrelated:
            await asyncio.gather(
                self._load_people(strange, applied["accounts"], people),
                self._load_facts(viewer_id, unrelated, now, related),
            )
        elif strange:
            await self._load_people(strange, applied["accounts"], people)
        elif unrelated:
            await self._load_facts(viewer_id, unrelated, now, related)
        return _facts(viewer_id, related), people

    def _known_people(
        self, user_ids: Collection[int], fences: Mapping[TopicPartition, int]
    ) -> tuple[dict[int, Kept[AccountRow | None]], list[int]]:
        found = {
            user_id: kept
            for user_id in user_ids
            if (kept := self._people.get(user_id)) is not None
            and kept.fence == self._fence(fences, "accounts", user_id)
        }
        return found, [user_id for user_id in user_ids if user_id not in found]

    async def _load_people(
        self,
        missing: Sequence[int],
        fences: Mapping[TopicPartition, int],
        found: dict[int, Kept[AccountRow | None]],
    ) -> None:
        rows = await self._accounts.by_ids(missing)
        for user_id in missing:
            found[user_id] = Kept(rows.get(user_id), self._fence(fences, "accounts", user_id))
            _keep(self._people, user_id, found[user_id], PEOPLE)

    def _known_facts(
        self, viewer_id: int, user_ids: Collection[int], applied: Applied
    ) -> tuple[dict[int, _Tie], dict[int, tuple[int, ...]], list[int]]:
        """Those whom the viewer is known to have to do with, the fences of all, and of whom to ask."""
        graph, accounts = applied["follows"], applied["accounts"]
        own = self._fence(graph, "graph", viewer_id)
        now: dict[int, tuple[int, ...]] = {
            user_id: (own, self._fence(graph, "graph", user_id), self._fence(accounts, "accounts", user_id))
            for user_id in user_ids
        }
        related: Mapping[int, _Tie] = self._viewers.get(viewer_id, {})
        found = {
            user_id: known
            for user_id, at in now.items()
            if (known := related.get(user_id)) is not None and known[0] == at
        }
        return found, now, [user_id for user_id in user_ids if user_id not in found]

    async def _load_facts(
        self, viewer_id: int, missing: Sequence[int], now: Mapping[int, tuple[int, ...]], found: dict[int, _Tie]
    ) -> None:
        facts = await self._relations.facts(viewer_id, missing)
        related = self._viewers.get(viewer_id) or OrderedDict()
        for user_id in missing:
            relation = facts.relations.get(user_id, NO_RELATION)
            found[user_id] = (now[user_id], facts.standings[user_id], relation)
            _keep(related, user_id, found[user_id], RELATED)
        _keep(self._viewers, viewer_id, related, VIEWERS)

    def _fence(self, fences: Mapping[TopicPartition, int], topic: str, key_id: int) -> int:
        """Up to where the view holds what was said under the key of ``key_id``."""
        return fences.get(_place(topic, key_id, self._partitions), -1)


def _facts(viewer_id: int, related: dict[int, _Tie]) -> Facts:
    return Facts(
        viewer_id,
        {user_id: standing for user_id, (_, standing, _) in related.items()},
        {user_id: relation for user_id, (_, _, relation) in related.items() if relation is not NO_RELATION},
    )


@lru_cache(maxsize=65_536)
def _place(topic: str, key_id: int, partitions: int) -> TopicPartition:
    return TopicPartition(topic, partition_of(b"%d" % key_id, partitions))


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
