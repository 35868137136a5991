"""Counters in memory, behind fences as every sink keeps them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from streams.counters import CounterWrite, CountMember
from streams.records import TopicPartition


class MemoryCounters:
    """Sets of members by kind and post. ``without={"gone"}`` forgets which posts were deleted."""

    def __init__(self, without: frozenset[str] = frozenset()) -> None:
        self.sets: dict[tuple[str, int], set[int]] = defaultdict(set)
        self.gone: set[int] = set()
        self._fences: dict[TopicPartition, int] = defaultdict(lambda: -1)
        self._without = without

    def apply(self, writes: Iterable[CounterWrite]) -> None:
        """Apply those of ``writes`` that are new."""
        for write in writes:
            tp, offset = write.mark
            if offset <= self._fences[tp]:
                continue
            self._fences[tp] = offset
            if not isinstance(write, CountMember):
                for key in [key for key in self.sets if key[1] == write.of]:
                    del self.sets[key]
                if "gone" not in self._without:
                    self.gone.add(write.of)
            elif write.of not in self.gone:
                members = self.sets[write.kind, write.of]
                (members.add if write.stands else members.discard)(write.member)

    def counted(self) -> dict[tuple[str, int], set[int]]:
        """Who is counted, of every post of which anybody is."""
        return {key: set(members) for key, members in self.sets.items() if members}
