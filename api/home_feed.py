"""Pages of a list that begins in Redis and goes on in Cassandra, with rules that drop some of it.

Below the feed's floor, and wherever rules left a page short, the next ids are fetched until the page is full: a feed
neither ends at its cap nor shows holes. Cursors are ids, so nothing is repeated or skipped when the floor rises
between two pages.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import neg
from typing import Generic, TypeVar

from sinks.errors import StoreAway

SPARE = 2
"""Ids looked at beyond what the page needs, since some will be dropped."""
ROUNDS = 8
"""How often a page goes for more. A page that is still short then says where to go on."""

Shown = TypeVar("Shown")
Look = Callable[[Sequence[int]], Awaitable[dict[int, Shown]]]
"""What may be shown of these ids."""
Older = Callable[[int, int], Awaitable[list[int]]]
"""(before, limit) → ids below ``before``, newest first; fewer only where there are no more."""


class ArchiveAway(StoreAway):
    """What is below the floor cannot be had now."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Shown]):
    """``shown``: newest first. ``after``: the id after which the list goes on; None at its end."""

    shown: list[Shown]
    after: int | None


async def page(
    skeleton: Sequence[int], floor: int, before: int, limit: int, *, older: Older, look: Look[Shown]
) -> Page[Shown]:
    """The ``limit`` newest visible ids below ``before``.

    ``skeleton`` holds every id above ``floor`` (newest first, without duplicates); from the floor downwards ``older``
    knows them. ``floor`` 0 says that there is nothing below. Where ``older`` raises ``ArchiveAway``, what
    there is above makes a short page that says where to go on; where there is nothing, so does this.
    """
    # Found by bisection: hardly any of hundreds are looked at.
    above = skeleton[bisect_right(skeleton, -before, key=neg) : bisect_left(skeleton, -floor, key=neg)]
    bottom = min(before, floor + 1)
    ended, cut = floor == 0, False
    found: list[tuple[int, Shown]] = []
    reached = before
    for _ in range(ROUNDS):
        wanted = limit + 1 - len(found) + SPARE
        ids, above = above[:wanted], above[wanted:]
        if len(ids) < wanted and not ended:
            try:
                more = await older(bottom, wanted - len(ids))
                ended = len(more) < wanted - len(ids)
                bottom = more[-1] if more else 0
            except ArchiveAway:
                if not (ids or found):
                    raise
                more, cut = [], True
            ids = [*ids, *more]
        if not ids:
            break
        reached = ids[-1]
        visible = await look(ids)
        found += [(post, visible[post]) for post in ids if post in visible]
        if len(found) > limit:
            return Page([shown for _, shown in found[:limit]], found[limit - 1][0])
        if cut or (not above and ended):
            break
    return Page([shown for _, shown in found], reached if above or not ended else None)
