"""Rows that a gateway keeps of the views ``posts``, ``accounts`` and ``follows``, as long as they are what those hold.

Nothing is answered for being kept: who asks brings how far the views are applied (``sinks.versions``), and what was
read at another fence of its partition is read anew. So a deletion, a block or an edit counts from the moment in which
its view's fence has passed it, as it does for who waits for a consistency token.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from sinks.accounts import AccountReader, AccountRow
from sinks.partitioning import partition_of
from sinks.posts import PostReader, PostRow
from sinks.relations import RelationReader
from sinks.sessions import STANDING_SECONDS
from sinks.versions import Applied, Versions
from streams.records import TopicPartition
from streams.rules import NO_RELATION, Facts, Relation, Standing

POSTS, PEOPLE, VIEWERS, RELATED = 10_000, 20_000, 2_000, 500
"""How many are kept: posts (some 6 KiB each with what is made of them), people, viewers, and people for each viewer."""
_APART_SECONDS = 5.0
VIEWS = ("posts", "accounts", "follows")
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class Kept(Generic[Value]):
    """A row as it was read at a fence, and what its reader has made of it."""

    row: Value
    fence: int
    good: int
    """The number of what it was last found to be good for. Where nothing has moved, its fence is not looked for."""
    made: Any = None

    def is_good(self, number: int, fence: Callable[[], int]) -> bool:
        """Whether it is what the view holds, with the fence of its partition."""
        if self.good != number:
            if self.fence != fence():
                return False
            self.good = number
        return True


@dataclass(slots=True)
class _Tie:
    """What a viewer has to do with somebody, as it was read at the fences of both sides."""

    standing: Standing
    relation: Relation
    fences: tuple[int, ...]
    good: int


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
        self._versions, self.partitions = versions, partitions
        self._posts, self._accounts, self._relations = posts, accounts, relations
        self._rows: OrderedDict[int, Kept[PostRow]] = OrderedDict()
        self._people: OrderedDict[int, Kept[AccountRow | None]] = OrderedDict()
        self._viewers: OrderedDict[int, OrderedDict[int, _Tie]] = OrderedDict()
        self._newest: Applied = {}
        self._numbers = 0
        self._looks: deque[tuple[float, Applied]] = deque()
        """When, on the monotonic clock, the views were found to be where; some of the last ``STANDING_SECONDS``."""

    def asked(self) -> asyncio.Task[Applied]:
        """How far the views are, asked from now on: to be waited for under ``asyncio.shield``."""
        return self._versions.asked()

    def _number(self, applied: Applied) -> int:
        """The number of ``applied``: the same one as long as nothing else is looked at, and never another one's."""
        if applied is not self._newest:
            self._newest = applied
            self._numbers += 1
            now = time.monotonic()
            if not self._looks or now - self._looks[-1][0] > _APART_SECONDS:
                self._looks.append((now, applied))
                self._forget_looks(now)
        return self._numbers

    def _forget_looks(self, now: float) -> None:
        # The oldest that is kept says where the views were before all the others.
        while len(self._looks) > 1 and self._looks[1][0] < now - STANDING_SECONDS:
            self._looks.popleft()

    def begun(self) -> Applied | None:
        """Where the views were some ``STANDING_SECONDS`` ago, or when they were first looked at; None where they never
        were."""
        self._forget_looks(time.monotonic())
        return self._looks[0][1] if self._looks else None

    # What was read at some fence, whatever the views are now: for ``sinks.standing``.

    def post(self, post_id: int) -> Kept[PostRow] | None:
        """A post's row."""
        return self._rows.get(post_id)

    def person(self, user_id: int) -> Kept[AccountRow | None] | None:
        """An account's row."""
        return self._people.get(user_id)

    def ties(self, viewer_id: int, user_ids: Collection[int]) -> tuple[Facts, dict[int, tuple[int, ...]]]:
        """What the viewer has to do with those of ``user_ids`` of whom it is kept, and at which fences it was read: of
        the viewer's graph, of the other's, and of the other's account."""
        known: Mapping[int, _Tie] = self._viewers.get(viewer_id, {})
        ties = {user_id: tie for user_id in user_ids if (tie := known.get(user_id)) is not None}
        return _facts(viewer_id, ties), {user_id: tie.fences for user_id, tie in ties.items()}

    def place(self, topic: str, key_id: int) -> TopicPartition:
        """Where in the log something is said under ``key_id``."""
        return _place(topic, key_id, self.partitions)

    async def posts(self, post_ids: Sequence[int], applied: Applied) -> dict[int, Kept[PostRow]]:
        """Those of ``post_ids`` of which the view knows anything, in their order."""
        fences, number = applied["posts"], self._number(applied)
        found: dict[int, Kept[PostRow]] = {}
        for post_id in post_ids:
            kept = self._rows.get(post_id)
            if kept is not None and kept.is_good(number, partial(self._fence, fences, "posts", kept.row.author_id)):
                found[post_id] = kept
        missing = [post_id for post_id in post_ids if post_id not in found]
        if not missing:
            return found
        for post_id, row in (await self._posts.by_ids(missing)).items():
            found[post_id] = Kept(row, self._fence(fences, "posts", row.author_id), number)
            _keep(self._rows, post_id, found[post_id], POSTS)
        return {post_id: found[post_id] for post_id in post_ids if post_id in found}

    async def about(
        self, viewer_id: int, user_ids: Collection[int], applied: Applied
    ) -> tuple[Facts, dict[int, Kept[AccountRow | None]]]:
        """What the viewer has to do with ``user_ids``, for the rules, and their accounts: None where the view does not
        know one. What has to be read of both is read at once."""
        people = self._known_people(user_ids, applied)
        related = self._known_ties(viewer_id, user_ids, applied)
        strange = [user_id for user_id in user_ids if user_id not in people]
        unrelated = [user_id for user_id in user_ids if user_id not in related]
        if strange and unrelated:
            await asyncio.gather(
                self._load_people(strange, applied, people), self._load_ties(viewer_id, unrelated, applied, related)
            )
        elif strange:
            await self._load_people(strange, applied, people)
        elif unrelated:
            await self._load_ties(viewer_id, unrelated, applied, related)
        return _facts(viewer_id, related), people

    def _known_people(self, user_ids: Collection[int], applied: Applied) -> dict[int, Kept[AccountRow | None]]:
        fences, number = applied["accounts"], self._number(applied)
        return {
            user_id: kept
            for user_id in user_ids
            if (kept := self._people.get(user_id)) is not None
            and kept.is_good(number, partial(self._fence, fences, "accounts", user_id))
        }

    async def _load_people(
        self, missing: Sequence[int], applied: Applied, found: dict[int, Kept[AccountRow | None]]
    ) -> None:
        number = self._number(applied)
        rows = await self._accounts.by_ids(missing)
        for user_id in missing:
            fence = self._fence(applied["accounts"], "accounts", user_id)
            found[user_id] = Kept(rows.get(user_id), fence, number)
            _keep(self._people, user_id, found[user_id], PEOPLE)

    def _known_ties(self, viewer_id: int, user_ids: Collection[int], applied: Applied) -> dict[int, _Tie]:
        known = self._viewers.get(viewer_id)
        if known is None:
            return {}
        number = self._number(applied)
        found: dict[int, _Tie] = {}
        for user_id in user_ids:
            tie = known.get(user_id)
            if tie is None:
                continue
            if tie.good != number:
                if tie.fences != self._fences_between(viewer_id, user_id, applied):
                    continue
                tie.good = number
            found[user_id] = tie
        return found

    async def _load_ties(
        self, viewer_id: int, missing: Sequence[int], applied: Applied, found: dict[int, _Tie]
    ) -> None:
        number = self._number(applied)
        facts = await self._relations.facts(viewer_id, missing)
        known = self._viewers.get(viewer_id) or OrderedDict()
        for user_id in missing:
            relation = facts.relations.get(user_id, NO_RELATION)
            fences = self._fences_between(viewer_id, user_id, applied)
            found[user_id] = _Tie(facts.standings[user_id], relation, fences, number)
            _keep(known, user_id, found[user_id], RELATED)
        _keep(self._viewers, viewer_id, known, VIEWERS)

    def _fences_between(self, viewer_id: int, user_id: int, applied: Applied) -> tuple[int, ...]:
        """Of what decides how two people stand: the follows of both, and the other's account."""
        graph = applied["follows"]
        return (
            self._fence(graph, "graph", viewer_id),
            self._fence(graph, "graph", user_id),
            self._fence(applied["accounts"], "accounts", user_id),
        )

    def _fence(self, fences: Mapping[TopicPartition, int], topic: str, key_id: int) -> int:
        """Up to where the view holds what was said under the key of ``key_id``."""
        return fences.get(self.place(topic, key_id), -1)


def _facts(viewer_id: int, related: dict[int, _Tie]) -> Facts:
    return Facts(
        viewer_id,
        {user_id: tie.standing for user_id, tie in related.items()},
        {user_id: tie.relation for user_id, tie in related.items() if tie.relation is not NO_RELATION},
    )


@lru_cache(maxsize=65_536)
def _place(topic: str, key_id: int, partitions: int) -> TopicPartition:
    return TopicPartition(topic, partition_of(b"%d" % key_id, partitions))


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
