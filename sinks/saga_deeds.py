"""The saga's memory of deeds and of the erased, in Cassandra: tables of ``cql/saga.cql``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from schemas.events import AccountErased
from sinks.cassandra import Cassandra, Statement, in_chunks, together
from streams.deeds import Deed, Done, done_in
from streams.saga import Seen

BATCH_ROWS = 100

_STANDS = "INSERT INTO saga_deeds (person_id, kind, about) VALUES (?, ?, ?) USING TIMESTAMP ?"
_STANDS_NO_MORE = "DELETE FROM saga_deeds USING TIMESTAMP ? WHERE person_id = ? AND kind = ? AND about = ?"
_ERASED = "INSERT INTO saga_erased (user_id, erased_at) VALUES (?, ?) USING TIMESTAMP ?"
_WHO_IS_ERASED = "SELECT user_id FROM saga_erased WHERE user_id IN ?"
_DEEDS = "SELECT kind, about FROM saga_deeds WHERE person_id = ?"
_PAIRS = "SELECT follower_id, pair FROM saga_pairs WHERE followee_id = ?"


class DeedMemory:
    """Deeds by person, and who is erased. Every method raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def store_deeds(self, seen: Sequence[Seen]) -> None:
        """Remember what ``seen`` says of deeds and erasures; the same again changes nothing."""
        rows: list[Statement] = []
        for deed, (stands, stamp) in last_words(seen).items():
            key = (deed.person, deed.kind, list(deed.about))
            rows.append((_STANDS, (*key, stamp)) if stands else (_STANDS_NO_MORE, (stamp, *key)))
        rows += [
            (_ERASED, (one.event.user_id, one.cause.at, one.mark.offset + 1))
            for one in seen
            if isinstance(one.event, AccountErased)
        ]
        # Where nodes share the rows, a batch over many partitions would burden the one that has to pass it on.
        size = BATCH_ROWS if self._cassandra.on_every_node else 1
        await together(self._cassandra.apply_batch(rows[n : n + size]) for n in range(0, len(rows), size))

    async def erased(self, people: Collection[int]) -> set[int]:
        """Those of ``people`` who are erased."""
        return {row.user_id for row in await in_chunks(self._cassandra, _WHO_IS_ERASED, people)}

    async def deeds(self, person: int) -> AsyncIterator[list[Deed]]:
        """What stands of a person's, page by page: also who follows or asks them, and blocks either way."""
        async for page in self._cassandra.pages(_DEEDS, (person,)):
            yield [Deed(person, row.kind, tuple(row.about)) for row in page]
        async for page in self._cassandra.pages(_PAIRS, (person,)):
            yield [deed for row in page for deed in of_pair(person, row.follower_id, *row.pair[2:])]


def last_words(seen: Sequence[Seen]) -> dict[Deed, tuple[bool, int]]:
    """Deed → whether it stands after ``seen``, and the write time of that: all that is said of one is in one order."""
    found: dict[Deed, tuple[bool, int]] = {}
    for one in seen:
        done: Done
        for done in done_in(one.event):
            stamp = one.mark.offset + 1
            if stamp > found.get(done.deed, (False, 0))[1]:
                found[done.deed] = done.stands, stamp
    return found


def of_pair(person: int, other: int, state: str, blocks: int) -> list[Deed]:
    """What a pair of the saga's, seen from under the key of ``person``, says as deeds of theirs."""
    found = [Deed(person, "followed", (other,))] if state != "none" else []
    found += [Deed(person, "block", (other,))] if blocks & 1 else []
    return found + ([Deed(person, "blocked", (other,))] if blocks & 2 else [])
