"""Two generations of the counters: who is counted for each post, and which posts are gone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from itertools import islice
from typing import cast

from jobs.replay_views import ReplayStores
from jobs.verify_differences import Differences
from sinks.counters_reader import CounterScan
from streams.counters import LIKES

_AT_ONCE = 1000
Subject = tuple[int, int | str]
"""A post, and a member or "gone"."""


class CounterComparison:
    """Member by member. How a set is split into shards may differ: it depends on how large it once was."""

    def __init__(self, stores: ReplayStores, was: int, new: int) -> None:
        self._scans = [
            CounterScan(stores.redis, generation=generation, buckets=stores.settings.buckets)
            for generation in (was, new)
        ]

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; the subjects are posts."""
        posts = {post_id for scan in self._scans for post_id in await scan.post_ids(LIKES)}
        found = Differences()
        await self._members(found, sorted(posts), moved)
        await self._gone(found)
        return found

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``."""
        named = cast(Collection[Subject], subjects)
        found = Differences()
        await self._members(found, sorted({post_id for post_id, what in named if what != "gone"}), lambda count: None)
        if any(what == "gone" for _, what in named):
            await self._gone(found)
        return found

    async def _members(self, found: Differences, posts: Collection[int], moved: Callable[[int], None]) -> None:
        rest = iter(posts)
        while some := list(islice(rest, _AT_ONCE)):
            was, new = [await scan.members(LIKES, some) for scan in self._scans]
            for post_id in some:
                found.checked += 1
                for member in was[post_id] ^ new[post_id]:
                    where = _where(member in was[post_id])
                    found.add((post_id, member), f"post {post_id}: {member} is only counted in the {where}")
            moved(len(some))

    async def _gone(self, found: Differences) -> None:
        was, new = [{post_id async for post_id in scan.gone()} for scan in self._scans]
        found.checked += len(was | new)
        for post_id in was ^ new:
            found.add((post_id, "gone"), f"post {post_id} is only gone in the {_where(post_id in was)}")


def _where(live: bool) -> str:
    return "live generation" if live else "new one"
