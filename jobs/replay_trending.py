"""Two generations of the trends: who turned to what, and what stands in the lists with which score."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import cast

from jobs.replay_views import ReplayStores
from jobs.verify_differences import Differences
from sinks.trending_reader import TrendScan
from streams.trending_scores import KEPT_DAYS

_AT_ONCE = 1000


class TrendComparison:
    """Item by item, of those that a reader can be shown: what is over leaves each generation in its own time."""

    def __init__(self, stores: ReplayStores, was: int, new: int) -> None:
        self._scans = [
            TrendScan(stores.redis, generation=generation, buckets=stores.settings.buckets) for generation in (was, new)
        ]

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; the subjects are items by name."""
        newest = [await scan.newest() for scan in self._scans]
        today = max((day for days in newest for day in days.values()), default=0)
        names = {name for days in newest for name, day in days.items() if day > today - KEPT_DAYS}
        return await self._look(sorted(names), moved)

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``."""
        return await self._look(sorted(cast(Collection[str], subjects)), lambda count: None)

    async def _look(self, names: list[str], moved: Callable[[int], None]) -> Differences:
        found = Differences()
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            was, new = [{name: held async for name, held in scan.held(some)} for scan in self._scans]
            for name in some:
                found.checked += 1
                if was.get(name) != new.get(name):
                    found.add(name, f"{name}: {_unlike(name in was, name in new)}")
            moved(len(some))
        return found


def _unlike(was: bool, new: bool) -> str:
    if was and new:
        return "who turned to it, when, or its score is another in the new generation"
    return "is only in the live generation" if was else "is only in the new one"
