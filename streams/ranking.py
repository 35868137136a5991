"""Ranking: what is known of a post before it is shown, what its actions are worth, and how ranked posts are spaced.

The features of a post for a viewer are a row of numbers, the same whether a gateway ranks a feed or a job looks back at
what was shown: one function makes both. Whatever counts and grows without bound goes in by its logarithm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.ids import made_at
from streams.affinity import Pair, affinity

FEATURES = (
    *("age", "is_new", "affinity", "followed_for", "follows", "velocity_1h", "velocity_24h"),
    *("pictures", "hashtags", "placed", "naming", "shown_at"),
)
"""In their order. ``shown_at``, the place at which a post was shown, is known of what was shown only: for the future
all posts are asked at the first place, so that nothing ranks low because it once stood low."""
HEADS = ("like", "comment", "save", "share", "dwell")
"""What a model says the probabilities of: that the viewer will do this, or look for longer than ``DWELL_MS``."""
DWELL_MS = 3000
WORTH = (1.0, 3.0, 6.0, 8.0, 0.5)
"""Of each of ``HEADS``. Save and share weigh most: a save is made to come back, a share brings others."""
IN_A_ROW = 2
"""Posts of one author that may follow on each other."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000

Numbers = npt.NDArray[np.float32]


class Candidate(NamedTuple):
    """A post that may be ranked: whose, and of what kind: how many pictures and hashtags, whether it says a place and
    names somebody."""

    post_id: int
    author_id: int
    pictures: int
    hashtags: int
    placed: bool
    naming: bool


class Near(NamedTuple):
    """What a viewer has to do with an author: the decayed weight of turning to them, and for how long they have
    followed them in ms, or -1."""

    affinity: float
    followed_ms: int


STRANGER = Near(0.0, -1)


def near(pair: Pair, now_ms: int) -> Near:
    """How ``pair`` stands at ``now_ms``."""
    return Near(affinity(pair, now_ms), max(now_ms - pair.since, 0) if pair.since else -1)


def counted(post: Candidate, to: Near, velocity: Sequence[float], now_ms: int, shown_at: int = 0) -> list[float]:
    """What ``shaped`` makes features of. ``velocity``: the post's decayed weights, of the hour's window and the
    day's."""
    age_ms = max(now_ms - made_at(post.post_id), 0)
    return [
        age_ms / _HOUR_MS,
        age_ms / _DAY_MS,
        to.affinity,
        max(to.followed_ms, 0) / _DAY_MS,
        to.followed_ms >= 0,
        velocity[0],
        velocity[1],
        max(post.pictures - 1, 0),
        post.hashtags,
        post.placed,
        post.naming,
        shown_at,
    ]


def shaped(rows: Sequence[Sequence[float]]) -> Numbers:
    """The features: float32, (rows, ``FEATURES``), of rows of ``counted``."""
    raw = np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))
    found: Numbers = np.log1p(raw).astype(np.float32)
    found[:, _IS_NEW] = np.exp(-raw[:, _IS_NEW])
    found[:, _FLAGS] = raw[:, _FLAGS]
    return found


_IS_NEW = FEATURES.index("is_new")
_FLAGS = [FEATURES.index(name) for name in ("follows", "placed", "naming")]


def features(
    posts: Sequence[Candidate], pairs: Mapping[int, Pair], velocities: Mapping[int, tuple[float, float]], now_ms: int
) -> Numbers:
    """A row for each of ``posts``. ``pairs`` by author, ``velocities`` by post, each where anything is known."""
    to = {author: near(pair, now_ms) for author, pair in pairs.items()}
    return shaped(
        [counted(post, to.get(post.author_id, STRANGER), velocities.get(post.post_id, STILL), now_ms) for post in posts]
    )


STILL = (0.0, 0.0)
"""The velocity of a post to which nobody, or too few, turned."""


def values(probabilities: Numbers) -> Numbers:
    """What posts are ranked by: the expected worth of what the viewer will do. Of (posts, ``HEADS``), one number a
    post."""
    found: Numbers = probabilities @ np.array(WORTH, dtype=np.float32)
    return found


def ranked(posts: Sequence[Candidate], worth: Sequence[float] | Numbers) -> list[Candidate]:
    """``posts`` by their ``worth``, the best first; ties go to the newer one. Then spaced by author."""
    newest = np.array([post.post_id for post in posts], dtype=np.int64)
    in_order = [posts[n] for n in np.lexsort((-newest, -np.asarray(worth, dtype=np.float64)))]
    return [in_order[n] for n in spaced([post.author_id for post in in_order])]


def spaced(authors: Sequence[int], shown: Sequence[int] = ()) -> list[int]:
    """The places of ``authors`` in an order in which none comes three times in a row, counting on from the last ones
    ``shown``. As near to the given order as that allows; where nobody else is left, one author's rest comes last, in a
    row.

    Whoever would be the third waits, and comes as soon as somebody else came. Who waits in vain until the end goes back
    up, into the last gaps between the others.
    """
    order: list[int] = []
    run_of, run = (shown[-1] if shown else 0), 0
    for author in reversed(shown):
        if author != run_of:
            break
        run += 1
    waiting: deque[int] = deque()

    def place(n: int) -> None:
        nonlocal run_of, run
        run = run + 1 if authors[n] == run_of else 1
        run_of = authors[n]
        order.append(n)

    def may(n: int) -> bool:
        return authors[n] != run_of or run < IN_A_ROW

    for n in range(len(authors)):
        while waiting and may(waiting[0]):
            place(waiting.popleft())
        if may(n) and not (waiting and authors[n] == authors[waiting[0]]):
            place(n)
        else:
            waiting.append(n)
    while waiting and may(waiting[0]):
        place(waiting.popleft())
    return _filled(order, list(waiting), authors, shown) if waiting else order


def _filled(order: list[int], left: list[int], authors: Sequence[int], shown: Sequence[int]) -> list[int]:
    """``order``, with ``left``, all of one author, in its last gaps: each holds two of theirs at most."""
    author = authors[left[0]]
    found: deque[int] = deque()
    here = 0
    for n in reversed(order):
        if authors[n] == author:
            here += 1
        else:
            while left and here < IN_A_ROW:
                found.appendleft(left.pop())
                here += 1
            here = 0
        found.appendleft(n)
    before = 0
    for one in reversed(shown):
        if one != author:
            break
        before += 1
    while left and here + before < IN_A_ROW:
        found.appendleft(left.pop())
        here += 1
    found.extend(left)
    mine = iter(sorted(n for n in found if authors[n] == author))  # each author's best first, wherever they stand
    return [next(mine) if authors[n] == author else n for n in found]
