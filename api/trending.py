"""What trends, for one viewer: ranked for everybody, then the rules for each, every time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from datetime import date, timedelta
from typing import NamedTuple, TypeVar

from api.consistency import Freshness
from api.cursors import to_cursor
from api.models_trending import DayPeople, StepWeight, TrendExplanation
from api.presenting import moment
from api.problems import Problem, not_found
from api.stores import Stores
from sinks.trending_reader import Ranked
from streams.rules import may_see_posts
from streams.trending import HASHTAGS, POSTS, STEP_MS, name_of
from streams.trending_scores import STRANGERS, Trend, Window, standing

_RANK_BITS = 20
"""A cursor is the step of the list's moment, and how many items of the list were looked at."""
_SPARE = 10
_NOTHING = Trend(0, {}, {}, {})
Shown = TypeVar("Shown")


class Place(NamedTuple):
    """An item in a list, and its rank there."""

    rank: int
    ranked: Ranked


class Trends:
    """What trends, within one request."""

    def __init__(self, stores: Stores, viewer_id: int | None, fresh: Freshness) -> None:
        self._stores, self._viewer_id, self._fresh = stores, viewer_id, fresh

    async def page(
        self,
        kind: str,
        window: Window,
        cursor: int | None,
        limit: int,
        look: Callable[[list[str]], Awaitable[dict[str, Shown]]],
    ) -> tuple[list[tuple[Place, Shown]], int, str | None]:
        """At most ``limit`` items of ``kind`` that ``look`` (names to what is shown of those that may be) gives, the
        step of the list's moment, and the next page's cursor. Raises ``StoreAway`` and ``Problem`` 400."""
        now = time.time_ns() // 1_000_000 // STEP_MS
        at_step, start = (now, 0) if cursor is None else (cursor >> _RANK_BITS, cursor & (1 << _RANK_BITS) - 1)
        if at_step > now:
            detail = "This cursor was not made here. Take `next_cursor` of the previous page as it is, or leave it out."
            raise Problem(400, "invalid-cursor", detail)
        ranked = await self.ranked(kind, window, at_step)
        found: list[tuple[Place, Shown]] = []
        while start < len(ranked) and len(found) < limit:
            some = ranked[start : start + limit - len(found) + _SPARE]
            shown = await look([one.name for one in some])
            for one in some:
                start += 1
                if one.name in shown:
                    found.append((Place(start, one), shown[one.name]))
                    if len(found) == limit:
                        break
        return found, at_step, to_cursor(at_step << _RANK_BITS | start) if start < len(ranked) else None

    async def ranked(self, kind: str, window: Window, at_step: int) -> list[Ranked]:
        """The list for everybody, not older than some seconds, or than the reader's own writes."""
        reader = self._stores.trending
        if not self._fresh.asks_nothing:
            return await reader.ranked(kind, window, at_step)
        return await self._stores.trend_lists.ranked(reader, kind, window, at_step)

    async def seen(self, names: Collection[str]) -> dict[str, str]:
        """Those hashtags and places among ``names`` that the viewer may know of, and their texts: those of the posts of
        somebody whose posts they may see. What only private people use is told to their followers alone."""
        reader = self._stores.trending
        authors = await reader.authors(await reader.trends(names))
        facts = await self._stores.relations.facts(
            self._viewer_id, {author for some in authors.values() for author in some}
        )
        return {
            name: name[2:] for name, some in authors.items() if any(may_see_posts(facts, author) for author in some)
        }

    async def explain(self, kind: str, item: str, window: Window) -> TrendExplanation:
        """Why an item that the viewer may see ranks as it does; ``Problem`` 404 for a hashtag or place of which they
        may not know. Whether they may open a post is asked before."""
        name = name_of(kind, item)
        if kind != POSTS and name not in await self.seen([name]):
            raise not_found("hashtag" if kind == HASHTAGS else "place")
        at_step = time.time_ns() // 1_000_000 // STEP_MS
        trend = (await self._stores.trending.trends([name])).get(name, _NOTHING)
        ranked = await self.ranked(kind, window, at_step)
        rank = next((n for n, one in enumerate(ranked, 1) if one.name == name), None)
        stands = standing(trend, window, at_step)
        weight = stands.hour if window.name == "1h" else stands.day
        at, least = at_step // window.scale, self._stores.settings.trending_least_people
        return TrendExplanation.model_validate(
            {
                "kind": kind,
                "item": item,
                "window": window.name,
                "at": moment(at_step * STEP_MS),
                "rank": rank,
                "people_needed": least,
                "people": [
                    DayPeople(day=date(1970, 1, 1) + timedelta(days=day), people=people)
                    for day, people in sorted(trend.people.items())
                ],
                "weights": [
                    StepWeight.model_validate({"since": moment(step * window.scale * STEP_MS), "weight": total})
                    for step, total in sorted(trend.counts(window).items())
                    if at - window.reach < step <= at
                ],
                "step_seconds": window.scale * STEP_MS // 1000,
                "weight_1h": stands.hour,
                "weight_24h": stands.day,
                "expected": stands.expected,
                "score": stands.corrected,
                "why": _why(rank, len(ranked), weight, stands.expected, window, least),
            }
        )


def _why(rank: int | None, of: int, weight: float, expected: float, window: Window, least: int) -> str:
    found = f"{weight:.1f} of weight with a half-life of {window.name}, where its own long run makes one expect "
    found += f"{expected:.1f} (chance varies by {(expected + STRANGERS) ** 0.5:.1f})"
    if rank is not None:
        return f"{found}: rank {rank} of {of}."
    if not weight:
        return "Nobody turned to it lately."
    return f"{found}; it stands in no list, which takes {least} different people, or others are far ahead of it."
