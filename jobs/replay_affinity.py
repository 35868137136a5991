"""Two generations of the affinity: who turned to whom, and follows them since when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import cast

from jobs.replay_views import ReplayStores
from jobs.verify_differences import Differences
from sinks.affinity import AffinityScan

_AT_ONCE = 500


class AffinityComparison:
    """Viewer by viewer."""

    def __init__(self, stores: ReplayStores, was: int, new: int) -> None:
        count = stores.settings.buckets
        self._scans = [AffinityScan(stores.redis, generation=one, buckets=count) for one in (was, new)]

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; the subjects are viewers."""
        viewers = {viewer for scan in self._scans for viewer in await scan.viewers()}
        return await self._look(sorted(viewers), moved)

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``."""
        return await self._look(sorted(cast(Collection[int], subjects)), lambda count: None)

    async def _look(self, viewers: list[int], moved: Callable[[int], None]) -> Differences:
        found = Differences()
        for start in range(0, len(viewers), _AT_ONCE):
            some = viewers[start : start + _AT_ONCE]
            was, new = [{viewer: held async for viewer, held in scan.held(some)} for scan in self._scans]
            for viewer in some:
                found.checked += 1
                if was[viewer] != new[viewer]:
                    authors = [one for one in was[viewer].keys() | new[viewer].keys()
                               if was[viewer].get(one) != new[viewer].get(one)]  # fmt: skip
                    found.add(viewer, f"{viewer}: what they have to do with {len(authors)} others is not the same")
            moved(len(some))
        return found
