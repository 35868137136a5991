"""The saga's memory in Cassandra, and the sink that says what it decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from typing import Protocol

from schemas.events import AccountErased, Blocked, Event, PostLiked, PostUnliked, PrivacyChanged, Unblocked
from sinks.cassandra import KEYS_IN, Statement, in_chunks, together
from sinks.emitter import Commits, Emits, EmitterSink
from sinks.saga_deeds import BATCH_ROWS, DeedMemory
from streams.causes import Cause
from streams.deeds import ACCOUNT_EVENTS, Deed, arriving, erased_anew, people_in, taken_back
from streams.saga import PAIR_EVENTS, Decided, Key, Known, Pair, Seen, decide, key_of, undone

MEMORY = "saga 2"
"""Under this name stands how far the memory goes. Another one is given when it is to hold what it did not hold before:
it is then filled again, from the log's beginning."""

_PRIVACY = "SELECT user_id, changed_offset, private FROM saga_privacy WHERE user_id IN ?"
_KNOWN = "SELECT followee_id FROM saga_pairs WHERE followee_id IN ? PER PARTITION LIMIT 1"
_PAIRS = "SELECT followee_id, follower_id, pair FROM saga_pairs WHERE followee_id = ? AND follower_id IN ?"
_WAITING = "SELECT followee_id, follower_id FROM saga_waiting WHERE followee_id IN ?"
_LIKES = "SELECT author_id, liker_id, post_id FROM saga_likes WHERE author_id = ? AND liker_id = ?"
_CHANGED = "INSERT INTO saga_privacy (user_id, changed_offset, private) VALUES (?, ?, ?) USING TIMESTAMP ?"
_PAIR = "INSERT INTO saga_pairs (followee_id, follower_id, pair) VALUES (?, ?, ?) USING TIMESTAMP ?"
_WAITS = "INSERT INTO saga_waiting (followee_id, follower_id) VALUES (?, ?) USING TIMESTAMP ?"
_WAITS_NO_MORE = "DELETE FROM saga_waiting USING TIMESTAMP ? WHERE followee_id = ? AND follower_id = ?"
_LIKED = "INSERT INTO saga_likes (author_id, liker_id, post_id) VALUES (?, ?, ?) USING TIMESTAMP ?"
_UNLIKED = "DELETE FROM saga_likes USING TIMESTAMP ? WHERE author_id = ? AND liker_id = ? AND post_id = ?"


class Memory(Protocol):
    """What the saga remembers, shared by its workers; a read that begins after a ``store`` returned sees it."""

    async def known(self, seen: Sequence[Seen]) -> Known:
        """What is stored of the people and pairs of ``seen``. Raises ``StoreAway``."""

    async def pairs(self, keys: Collection[Key]) -> dict[Key, Pair]:
        """Those of ``keys`` that are stored. Raises ``StoreAway``."""

    async def likes(self, keys: Collection[Key]) -> dict[Key, set[int]]:
        """(author, liker) → posts, of those of ``keys`` that have any. Raises ``StoreAway``."""

    async def store_likes(self, seen: Sequence[Seen]) -> None:
        """Remember the likes of ``seen``, and forget those taken back. Raises ``StoreAway``."""

    async def store(self, seen: Sequence[Seen], decided: Decided) -> None:
        """Remember the changes of privacy in ``seen``, and ``decided``. Raises ``StoreAway``."""

    async def store_deeds(self, seen: Sequence[Seen]) -> None:
        """Remember what ``seen`` says of deeds and erasures. Raises ``StoreAway``."""

    async def erased(self, people: Collection[int]) -> set[int]:
        """Those of ``people`` who are erased. Raises ``StoreAway``."""

    def deeds(self, person: int) -> AsyncIterator[list[Deed]]:
        """What stands of a person's, part by part. Raises ``StoreAway``."""


class SagaMemory(DeedMemory, Memory):
    """``Memory`` in Cassandra: tables of ``cql/saga.cql``."""

    async def known(self, seen: Sequence[Seen]) -> Known:
        keys = {key for one in seen if (key := key_of(one.event)) is not None}
        changing = {one.event.user_id for one in seen if isinstance(one.event, PrivacyChanged)}
        found = Known()
        for row in await in_chunks(self._cassandra, _PRIVACY, {followee for followee, _ in keys} | changing):
            found.privacy.setdefault(row.user_id, {})[row.changed_offset] = row.private
        for row in await in_chunks(self._cassandra, _WAITING, changing):
            found.waiting.setdefault(row.followee_id, set()).add(row.follower_id)
        keys |= {(followee, follower) for followee, followers in found.waiting.items() for follower in followers}
        found.pairs = await self.pairs(keys)
        return found

    async def pairs(self, keys: Collection[Key]) -> dict[Key, Pair]:
        # Most people have nothing stored: they are asked for together first.
        followees = {row.followee_id for row in await in_chunks(self._cassandra, _KNOWN, {key[0] for key in keys})}
        asked: dict[int, list[int]] = {}
        for followee, follower in keys:
            if followee in followees:
                asked.setdefault(followee, []).append(follower)
        reads = (
            (_PAIRS, (followee, followers[n : n + KEYS_IN]))
            for followee, followers in asked.items()
            for n in range(0, len(followers), KEYS_IN)
        )
        answers = await self._cassandra.execute_each(reads)
        return {(row.followee_id, row.follower_id): Pair(*row.pair) for rows in answers for row in rows}

    async def likes(self, keys: Collection[Key]) -> dict[Key, set[int]]:
        found: dict[Key, set[int]] = {}
        for rows in await self._cassandra.execute_each((_LIKES, key) for key in keys):
            for row in rows:
                found.setdefault((row.author_id, row.liker_id), set()).add(row.post_id)
        return found

    async def store_likes(self, seen: Sequence[Seen]) -> None:
        rows: list[Statement] = []
        for one in seen:
            event, stamp = one.event, one.mark.offset + 1
            if isinstance(event, PostLiked):
                rows.append((_LIKED, (event.author_id, event.actor_id, event.post_id, stamp)))
            elif isinstance(event, PostUnliked):
                rows.append((_UNLIKED, (stamp, event.author_id, event.actor_id, event.post_id)))
        await self._write(rows)

    async def store(self, seen: Sequence[Seen], decided: Decided) -> None:
        rows: list[Statement] = [
            (_CHANGED, (one.event.user_id, one.mark.offset, one.event.private, one.mark.offset + 1))
            for one in seen
            if isinstance(one.event, PrivacyChanged)
        ]
        for key, pair in decided.pairs.items():
            stamp = pair.offset + 1
            rows.append((_PAIR, (*key, (pair.offset, pair.said, pair.state, pair.blocks), stamp)))
            if pair.state == "asks":
                rows.append((_WAITS, (*key, stamp)))
            elif key in decided.answered:
                rows.append((_WAITS_NO_MORE, (stamp, *key)))
        await self._write(rows)

    async def _write(self, rows: Sequence[Statement]) -> None:
        # Where nodes share the rows, a batch over many partitions would burden the one that has to pass it on.
        size = BATCH_ROWS if self._cassandra.on_every_node else 1
        await together(self._cassandra.apply_batch(rows[n : n + size]) for n in range(0, len(rows), size))


async def _in_silence(events: Sequence[Event]) -> None:
    pass


async def settle(
    memory: Memory, seen: Sequence[Seen], say: Callable[[Sequence[Event]], Awaitable[None]] = _in_silence
) -> None:
    """Say what ``seen`` entails in the graph, then remember it; without ``say``, for what was said before. Raises
    ``StoreAway``."""
    likes, graph = _parted(seen)
    await memory.store_deeds(seen)
    # Stored before a block is looked for, as blocks are before likes are: at least one sees both.
    await memory.store_likes(likes)
    if graph:
        decided = decide(graph, await memory.known(graph))
        await say(decided.say)
        await memory.store(graph, decided)


class SagaSink(EmitterSink[Seen]):
    """Says what follows from a batch, and remembers it once the broker has it: what is stored was said."""

    def __init__(self, memory: Memory, producer: Emits, commits: Commits) -> None:
        super().__init__(producer, commits)
        self._memory = memory

    async def emit(self, writes: Sequence[Seen]) -> None:
        """Settle the graph, then take back the likes between the blocked, and what the erased did. Raises
        ``StoreAway``."""
        if not writes:
            return
        memory = self._memory
        likes, graph = _parted(writes)
        await settle(memory, writes, self._say)
        blocks = {key for one in graph if isinstance(one.event, Blocked) and (key := key_of(one.event)) is not None}
        liked = {(one.event.author_id, one.event.actor_id) for one in likes if isinstance(one.event, PostLiked)}
        await self._say(undone(writes, await memory.pairs(liked), await memory.likes(blocks)))
        await self._erase(writes)

    async def _erase(self, seen: Sequence[Seen]) -> None:
        """Take back all that stands of those whose erasure is in ``seen``, and of those erased before what ``seen``
        brings."""
        # The first of each is the cause.
        leaving = {one.event.user_id: one.cause for one in reversed(seen) if isinstance(one.event, AccountErased)}
        gone = await self._memory.erased({person for one in seen for person in people_in(one.event)})
        if before := gone - leaving.keys():
            for one in seen:
                await self._say(taken_back(one.cause, [deed for deed in arriving(one.event) if deed.person in before]))
        for person, cause in sorted(leaving.items()):
            async for deeds in self._memory.deeds(person):
                await self._say(taken_back(cause, deeds))
        spoken: dict[int, Cause] = {}
        for one in seen:
            if isinstance(one.event, AccountErased):
                spoken.pop(one.event.user_id, None)
            elif isinstance(one.event, ACCOUNT_EVENTS):
                spoken[one.event.user_id] = one.cause
        await self._say([erased_anew(spoken[person], person) for person in sorted(gone & spoken.keys())])

    async def _say(self, events: Sequence[Event]) -> None:
        if events:
            await self._producer.produce_many(events)


def _parted(seen: Iterable[Seen]) -> tuple[list[Seen], list[Seen]]:
    """Likes, and what the graph is settled by."""
    likes: list[Seen] = []
    graph: list[Seen] = []
    for one in seen:
        if isinstance(one.event, PostLiked | PostUnliked):
            likes.append(one)
        elif isinstance(one.event, (*PAIR_EVENTS, Blocked, Unblocked, PrivacyChanged)):
            graph.append(one)
    return likes, graph
