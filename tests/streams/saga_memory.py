"""The saga's memory without a server, and a log in memory that the saga reads and writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from schemas.events import AccountErased, Event, PostLiked, PostUnliked, PrivacyChanged
from sinks.saga import Memory
from sinks.saga_deeds import of_pair
from streams.deeds import Deed, done_in
from streams.records import Record, TopicPartition
from streams.saga import Decided, Key, Known, Pair, Seen, key_of


class MemoryInMemory(Memory):
    """What ``sinks.saga.SagaMemory`` does, cell by cell: the later offset wins."""

    def __init__(self) -> None:
        self.privacy: dict[int, dict[int, bool]] = {}
        self.stored: dict[Key, Pair] = {}
        self._likes: dict[tuple[int, int, int], tuple[int, bool]] = {}
        self._deeds: dict[Deed, tuple[int, bool]] = {}
        self._erased: set[int] = set()

    async def known(self, seen: Sequence[Seen]) -> Known:
        waiting: dict[int, set[int]] = {}
        changing = {one.event.user_id for one in seen if isinstance(one.event, PrivacyChanged)}
        for (followee, follower), pair in self.stored.items():
            if pair.state == "asks" and followee in changing:
                waiting.setdefault(followee, set()).add(follower)
        keys = {key for one in seen if (key := key_of(one.event)) is not None}
        keys |= {(followee, follower) for followee, followers in waiting.items() for follower in followers}
        privacy = {user_id: dict(changes) for user_id, changes in self.privacy.items()}
        return Known(privacy, await self.pairs(keys), waiting)

    async def pairs(self, keys: Collection[Key]) -> dict[Key, Pair]:
        return {key: self.stored[key] for key in keys if key in self.stored}

    async def likes(self, keys: Collection[Key]) -> dict[Key, set[int]]:
        found: dict[Key, set[int]] = {}
        for (author, liker, post), (_, stands) in self._likes.items():
            if stands and (author, liker) in keys:
                found.setdefault((author, liker), set()).add(post)
        return found

    async def store_likes(self, seen: Sequence[Seen]) -> None:
        for one in seen:
            if isinstance(one.event, PostLiked | PostUnliked):
                key = (one.event.author_id, one.event.actor_id, one.event.post_id)
                if one.mark.offset >= self._likes.get(key, (-1, False))[0]:
                    self._likes[key] = (one.mark.offset, isinstance(one.event, PostLiked))

    async def store(self, seen: Sequence[Seen], decided: Decided) -> None:
        for one in seen:
            if isinstance(one.event, PrivacyChanged):
                self.privacy.setdefault(one.event.user_id, {})[one.mark.offset] = one.event.private
        for key, pair in decided.pairs.items():
            if pair.offset >= self.stored.get(key, Pair()).offset:
                self.stored[key] = pair

    async def store_deeds(self, seen: Sequence[Seen]) -> None:
        for one in seen:
            if isinstance(one.event, AccountErased):
                self._erased.add(one.event.user_id)
            for done in done_in(one.event):
                if one.mark.offset >= self._deeds.get(done.deed, (-1, False))[0]:
                    self._deeds[done.deed] = one.mark.offset, done.stands

    async def erased(self, people: Collection[int]) -> set[int]:
        return self._erased.intersection(people)

    async def deeds(self, person: int) -> AsyncIterator[list[Deed]]:
        yield [deed for deed, (_, stands) in self._deeds.items() if stands and deed.person == person]
        for (followee, follower), pair in self.stored.items():
            if followee == person:
                yield of_pair(person, follower, pair.state, pair.blocks)


class Log:
    """Partitions by key; what emitters say is appended behind what is there."""

    def __init__(self, partitions: int = 2) -> None:
        self.records: dict[TopicPartition, list[Record]] = {}
        self._partitions = partitions

    def append(self, event: Event) -> None:
        tp = TopicPartition(event.TOPIC, int(event.key) % self._partitions)
        own = self.records.setdefault(tp, [])
        own.append(Record(tp, len(own), event.at, event))

    async def produce_many(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        for event in events:
            self.append(event)
        return []
