"""Trends in memory, in one bucket: what sinks/lua/trending.lua does, apart from scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from streams.records import TopicPartition
from streams.trending import STEPS_A_DAY, Act, weight_and_step
from streams.trending_scores import DAY, HOUR, KEPT_DAYS, Trend, Window

AUTHORS = 8


class Item(NamedTuple):
    """What is held of an item: its trend, who did what by day, sampled authors by day, and where it is listed."""

    trend: Trend
    who: dict[int, dict[int, int]]
    authors: dict[int, list[int]]
    listed: set[str]


class MemoryTrends:
    """``without`` names rules to leave out: "forgetting" (whatever is older than an item's days is kept) and "refusing"
    (what is over for all is taken, though it may have been removed)."""

    def __init__(self, least: int = 2, without: frozenset[str] = frozenset()) -> None:
        self.items: dict[str, dict[int, dict[int, int]]] = {}
        """Name → day → person → value."""
        self._authors: dict[tuple[str, int], set[int]] = defaultdict(set)
        self._fences: dict[TopicPartition, int] = defaultdict(lambda: -1)
        self._least, self._without = least, without
        self.removed = 0

    def apply(self, writes: Sequence[Act]) -> None:
        """Apply those of ``writes`` that are new, then let go what is over."""
        today = max([write.day for write in writes] + [max(days) for days in self.items.values()], default=-1)
        fences = dict(self._fences)
        for write in writes:
            tp, offset = write.mark
            self._fences[tp] = max(self._fences[tp], offset)
            if offset > fences.get(tp, -1) and (write.day > today - 2 * KEPT_DAYS or "refusing" in self._without):
                self._act(write)
        for name, days in list(self.items.items()):
            if max(days) <= today - 2 * KEPT_DAYS:
                del self.items[name]
                self.removed += 1

    def _act(self, act: Act) -> None:
        days = self.items.setdefault(act.name, {})
        newest = max([*days, act.day])
        if act.day <= newest - KEPT_DAYS and "forgetting" not in self._without:
            return
        who = days.setdefault(act.day, {})
        who[act.person] = max(act.value, who.get(act.person, -1))
        if "forgetting" not in self._without:
            for day in [day for day in days if day <= newest - KEPT_DAYS]:
                del days[day]
        if not act.name.startswith("p"):
            authors = self._authors[act.name, act.day]
            authors.add(act.author)
            self._authors[act.name, act.day] = set(sorted(authors, key=str)[:AUTHORS])

    def read(self, at_day: int) -> dict[str, Item]:
        """What a reader at ``at_day`` can be shown, by name."""
        return {name: self._item(name) for name, days in self.items.items() if max(days) > at_day - KEPT_DAYS}

    def _item(self, name: str) -> Item:
        days = self.items[name]
        newest = max(days)
        return Item(
            Trend(
                newest,
                _counted(days, HOUR),
                _counted(days, DAY),
                {day: len(who) for day, who in days.items()},
            ),
            {day: dict(who) for day, who in days.items()},
            {day: sorted(self._authors.get((name, day), ()), key=str) for day in days},
            {
                window.name
                for window in (HOUR, DAY)
                if len({one for day, who in days.items() if day > newest - window.days for one in who}) >= self._least
            },
        )


def _counted(days: dict[int, dict[int, int]], window: Window) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    for day, who in days.items():
        if day > max(days) - window.days:
            for value in who.values():
                weight, step = weight_and_step(value)
                counts[(day * STEPS_A_DAY + step) // window.scale] += weight
    return dict(counts)
