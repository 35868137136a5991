"""How trends are scored: exponential decay over integer counts, then how far an item is above what is usual for it.

An item holds, for each of two windows, how much weight fell into which step. The score of a window with half-life h is

    log2 of the sum of n_k * 2^((k - newest) / 12), plus newest / 12        (12 steps to a half-life)

which is log2 of a sum that decays *forward*: as time passes, the scores of all items fall alike, so a sorted set of
them needs no sweep. Logarithms, since plain sums leave a double's range after 43 days at a half-life of an hour. Always
from the same integers in the same order: equal counts give equal doubles.

**Forgetting.** An item keeps the days after its *own* newest day minus ``Window.days``: at least 24 half-lives of the
hour's window, 7 of the day's (a weight of less than a hundredth). That is a function of its events alone, in whatever
order they come. An item of which nothing came for twice ``KEPT_DAYS`` before the newest day that the view has seen, G,
is removed, and what is as old is refused. Neither is ever missed: who asks at G or later is shown only items with
something on a day after G - KEPT_DAYS, and of those only days after G - 2 * KEPT_DAYS. So removing and refusing may be
late, or differ between buckets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from streams.trending import STEPS_A_DAY

HALF_LIFE_STEPS = 12
KEPT_DAYS = 8
"""Of the longest window."""
STRANGERS = 20.0
"""Added to what is expected before it is judged: weights of some five people, so that two clicks on nothing are no
trend."""


class Window(NamedTuple):
    """A half-life. ``scale`` is how many of the steps of five minutes are one of its own, a twelfth of the half-life;
    ``days`` for how long its counts are kept; ``reach`` how many of its steps a reader looks back."""

    name: str
    scale: int
    days: int
    reach: int


HOUR = Window("1h", 1, 2, 24 * HALF_LIFE_STEPS)
DAY = Window("24h", 24, KEPT_DAYS, 7 * HALF_LIFE_STEPS)
WINDOWS = {window.name: window for window in (HOUR, DAY)}

Counts = Mapping[int, int]
"""Step of a window, since 1970 → the weights that fell into it."""


class Trend(NamedTuple):
    """What is held of an item: its newest day, counts by the steps of ``HOUR`` and of ``DAY``, people by day."""

    newest: int
    hour: Counts
    day: Counts
    people: Counts

    def counts(self, window: Window) -> Counts:
        """The counts of ``window``."""
        return self.hour if window is HOUR else self.day


class Standing(NamedTuple):
    """How an item stands at a moment. ``hour`` and ``day`` are its decayed sums of weights, ``expected`` what its
    long-run rate makes of the asked one, ``corrected`` how far it is above that: what items are ranked by."""

    hour: float
    day: float
    expected: float
    corrected: float


def score(counts: Counts) -> float:
    """The forward-decayed score of ``counts``, which are not empty: comparable at any time with others of the same
    window."""
    newest = max(counts)
    total = math.fsum(counts[k] * math.exp2((k - newest) / HALF_LIFE_STEPS) for k in sorted(counts))
    return math.log2(total) + newest / HALF_LIFE_STEPS


def decayed(counts: Counts, window: Window, at_step: int) -> float:
    """The sum of weights at the moment ``at_step`` (in steps of five minutes), each halved with every half-life. What
    came later, or lies out of the window's reach, does not count."""
    at = at_step // window.scale
    seen = sorted(k for k in counts if at - window.reach < k <= at)
    return math.fsum(counts[k] * math.exp2((k - at) / HALF_LIFE_STEPS) for k in seen)


def standing(trend: Trend, window: Window, at_step: int) -> Standing:
    """How an item stands in ``window`` at ``at_step``, against its own long run.

    What is expected is what a steady rate would have made of it: within the hour's window by the decayed sum of the
    day's, within the day's by the plain sum of a week. The day's newest step is not over yet, and counts for its part.
    What is above is divided by the root of what is expected, as chance varies by that: being large is no trend, nor are
    the first two likes.
    """
    hour, day = decayed(trend.hour, HOUR, at_step), decayed(trend.day, DAY, at_step)
    at, part = at_step // DAY.scale, (at_step % DAY.scale + 1) / DAY.scale
    steady_day = part + _steady(DAY) - 1  # steps' worth of a steady rate that are in the day's sum
    if window is HOUR:
        asked, expected = hour, day * _steady(HOUR) / (steady_day * DAY.scale)
    else:
        week = sum(n for k, n in trend.day.items() if at - DAY.reach < k <= at)
        asked, expected = day, week * steady_day / (DAY.reach - 1 + part)
    return Standing(hour, day, expected, (asked - expected) / math.sqrt(expected + STRANGERS))


def _steady(window: Window) -> float:
    """How many steps' worth of a steady rate a decayed sum holds."""
    return (1 - math.exp2(-window.reach / HALF_LIFE_STEPS)) / (1 - math.exp2(-1 / HALF_LIFE_STEPS))


def most(score: float, window: Window, at_step: int) -> float:
    """What an item with this forward-decayed ``score`` can be ranked by at most, were nothing expected of it."""
    return math.exp2(score - (at_step // window.scale) / HALF_LIFE_STEPS) / math.sqrt(STRANGERS)


def is_over(trend: Trend, at_step: int) -> bool:
    """Whether nothing of an item is in reach at ``at_step``: it stands in no list."""
    return trend.newest <= at_step // STEPS_A_DAY - KEPT_DAYS


def ranked(trends: Mapping[str, Trend], window: Window, at_step: int) -> list[tuple[str, Standing]]:
    """The items that stand at ``at_step``, by how far they are above what is usual for them; ties by name."""
    found = ((name, standing(trend, window, at_step)) for name, trend in trends.items() if not is_over(trend, at_step))
    moving = [(name, one) for name, one in found if (one.hour if window is HOUR else one.day) > 0]
    return sorted(moving, key=lambda pair: (-pair[1].corrected, pair[0]))
