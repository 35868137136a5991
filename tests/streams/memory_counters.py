"""Counters in memory, behind fences as every sink keeps them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from streams.counters import (
    COMMENTS,
    DEAD,
    REPLIES,
    CountComment,
    CounterWrite,
    CountMembers,
    NamePost,
    ShowPost,
    Uncount,
    UncountComment,
)
from streams.records import TopicPartition


class MemoryCounters:
    """Sets of members by kind and post. ``without={"gone"}`` forgets which posts were deleted,
    ``{"dead"}`` which comments."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.sets: dict[tuple[str, int], set[int]] = defaultdict(set)
        self.gone: set[int] = set()
        self.shown: set[int] = set()
        self.names: dict[int, tuple[str, ...]] = {}
        self._parents: dict[int, set[int]] = defaultdict(set)
        self._fences: dict[TopicPartition, int] = defaultdict(lambda: -1)
        self._without = without

    def apply(self, writes: Iterable[CounterWrite]) -> None:
        """Apply those of ``writes``, which are a batch's, that are new."""
        fences: dict[TopicPartition, int] = {}
        for write in writes:
            tp, offset = write.mark
            fence = fences.setdefault(tp, self._fences[tp])
            if isinstance(write, CountMembers):
                self._count(write, fence)
                continue
            if offset <= fence:
                continue
            self._fences[tp] = max(offset, self._fences[tp])
            if isinstance(write, Uncount):
                for comment in self._parents.pop(write.of, ()):
                    self.sets.pop((REPLIES, comment), None)
                for key in [key for key in self.sets if key[1] == write.of]:
                    del self.sets[key]
                self.shown.discard(write.of)
                self.names.pop(write.of, None)
                if "gone" not in self._without:
                    self.gone.add(write.of)
            elif write.of in self.gone:
                continue
            elif isinstance(write, NamePost):
                self.names[write.of] = write.names
            elif isinstance(write, ShowPost):
                self.shown.add(write.of)
            else:
                self._comment(write)

    def _count(self, write: CountMembers, fence: int) -> None:
        for member, (offset, stands) in write.said.items():
            if offset > fence:
                self._fences[write.mark.tp] = max(offset, self._fences[write.mark.tp])
                if write.of not in self.gone:
                    members = self.sets[write.kind, write.of]
                    (members.add if stands else members.discard)(member)

    def _comment(self, write: CountComment | UncountComment) -> None:
        comments, dead = self.sets[COMMENTS, write.of], self.sets[DEAD, write.of]
        if isinstance(write, CountComment):
            if "dead" in self._without or not {write.comment, write.parent} & dead:
                comments.add(write.comment)
                if write.parent:
                    self.sets[REPLIES, write.parent].add(write.comment)
                    self._parents[write.of].add(write.parent)
            return
        dead.add(write.comment)
        comments.discard(write.comment)
        if write.parent:
            self.sets[REPLIES, write.parent].discard(write.comment)
        comments -= self.sets.pop((REPLIES, write.comment), set())

    def named(self) -> dict[str, set[int]]:
        """Which published posts name what; under "", all."""
        found: dict[str, set[int]] = {}
        for post in self.shown:
            for name in ("", *self.names.get(post, ())):
                found.setdefault(name, set()).add(post)
        return found

    def counted(self) -> dict[tuple[str, int], set[int]]:
        """Who is counted, of every post of which anybody is."""
        return {key: set(members) for key, members in self.sets.items() if members}
