"""Two generations of the search index: which documents each has, and what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable

from jobs.verify_differences import Differences
from sinks.search_reader import SearchReader


class SearchComparison:
    """Document by document. A name is compared as the digest that stands for it."""

    def __init__(self, was: SearchReader, new: SearchReader) -> None:
        self._readers = was, new

    async def whole(self, moved: Callable[[int], None]) -> Differences:
        """See ``Comparison.whole``; the subjects are documents by key."""
        was, new = [dict(await asyncio.to_thread(list, one.everything())) for one in self._readers]
        found = Differences(checked=len(was.keys() | new.keys()))
        for key in was.keys() | new.keys():
            if was.get(key) != new.get(key):
                found.add(key, f"{key}: {_unlike(key in was, key in new)}")
        moved(found.checked)
        return found

    async def again(self, subjects: Collection[Hashable]) -> Differences:
        """See ``Comparison.again``: all of it, since reading is most of it."""
        return await self.whole(lambda count: None)


def _unlike(was: bool, new: bool) -> str:
    if was and new:
        return "the new generation says something else"
    return "only the live generation has it" if was else "only the new one has it"
