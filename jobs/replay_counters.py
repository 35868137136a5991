"""Two generations of the counters: who is counted for each post, which posts are gone, and what posts name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from itertools import islice
from typing import cast

from jobs.replay_views import ReplayStores
from jobs.verify_differences import Differences
from sinks.counters import KINDS
from sinks.counters_reader import CounterScan

_AT_ONCE = 1000
_NAMED = "named"
Subject = tuple[int, int | str, str]
"""A post or comment, a member or "gone" or "replies" or what it names, and the kind."""


class CounterComparison:
    """Member by member. How a set is split into shards may differ: it depends on how large it once was."""

    def __init__(self, stores: ReplayStores, was: int, new: int) -> None:
        self._scans = [
            CounterScan(stores.redis, generation=generation, buckets=stores.settings.buckets)
            for generation in (was, new)
        ]

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; the subjects are posts."""
        found = Differences()
        for kind in KINDS:
            posts = {post_id for scan in self._scans for post_id in await scan.post_ids(kind)}
            await self._members(found, kind, sorted(posts), moved)
        await self._replies(found)
        await self._gone(found)
        await self._named(found)
        return found

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``."""
        named = cast(Collection[Subject], subjects)
        found = Differences()
        for kind in KINDS:
            posts = {post_id for post_id, what, of in named if of == kind}
            await self._members(found, kind, sorted(posts), lambda count: None)
        if any(what == "gone" for _, what, _ in named):
            await self._gone(found)
        if any(what == "replies" for _, what, _ in named):
            await self._replies(found)
        if any(kind == _NAMED for *_, kind in named):
            await self._named(found)
        return found

    async def _members(
        self, found: Differences, kind: str, posts: Collection[int], moved: Callable[[int], None]
    ) -> None:
        rest = iter(posts)
        while some := list(islice(rest, _AT_ONCE)):
            was, new = [await scan.members(kind, some) for scan in self._scans]
            for post_id in some:
                found.checked += 1
                for member in was[post_id] ^ new[post_id]:
                    where = _where(member in was[post_id])
                    what = f"post {post_id}: {member} is only counted as {kind} in the {where}"
                    found.add((post_id, member, kind), what)
            moved(len(some))

    async def _replies(self, found: Differences) -> None:
        was, new = [await scan.replies() for scan in self._scans]
        for comment in was.keys() | new.keys():
            found.checked += 1
            before, after = was.get(comment, 0), new.get(comment, 0)
            if before != after:
                what = f"comment {comment} has {before} replies in the live generation and {after} in the new one"
                found.add((comment, "replies", ""), what)

    async def _named(self, found: Differences) -> None:
        was, new = [await scan.named() for scan in self._scans]
        for name in was.keys() | new.keys():
            before, after = was.get(name, set()), new.get(name, set())
            found.checked += len(before | after)
            for post_id in before ^ after:
                what = f"post {post_id} only counts for {name or 'all posts'} in the {_where(post_id in before)}"
                found.add((post_id, name, _NAMED), what)

    async def _gone(self, found: Differences) -> None:
        was, new = [{post_id async for post_id in scan.gone()} for scan in self._scans]
        found.checked += len(was | new)
        for post_id in was ^ new:
            found.add((post_id, "gone", ""), f"post {post_id} is only gone in the {_where(post_id in was)}")


def _where(live: bool) -> str:
    return "live generation" if live else "new one"
