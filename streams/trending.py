"""Trending: which posts, hashtags and places people turn to now.

An action counts at its *effective time*, the earlier one of its own and the broker's: nobody trends by a clock in the
future. A person counts once for an item and UTC day, with the heaviest of their actions, the earliest of those. Time is
cut into steps of five minutes, which days and hours hold whole.

What one person did with one item on one day is one integer, the larger the heavier and the earlier; two of them merge
into the larger. Merging is commutative, associative and idempotent, so what a day holds is a function of the set of its
events alone. Days are kept or forgotten whole (``streams.trending_scores`` says for how long), hence so is the rest.

What authors do with their own posts counts nothing. What is taken back (an unlike, a deletion) is no less a sign of
attention: it stays counted, and readers' rules hide what may not be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from schemas.events import CommentAdded, PostLiked, PostSaved, PostSeen, PostShared
from streams.records import Record
from streams.views import Mark, View

POSTS, HASHTAGS, PLACES = "posts", "hashtags", "places"
KINDS = {POSTS: "p", HASHTAGS: "t", PLACES: "l"}
"""Kinds of items, and the letter that the name of an item begins with."""
STEP_MS = 300_000
STEPS_A_DAY = 288
SEEN, LIKED, COMMENTED, SAVED, SHARED = 1, 4, 8, 12, 16
"""Weights: what costs a person more counts more. A save is made to come back, a share is shown to others, and speaks
for an item more than a word below it; four looks make a like. Integers, so that sums are exact in any order."""
SEEN_MS = 1000
"""A post that was before somebody's eyes for less was scrolled past."""

Action = PostSeen | PostLiked | CommentAdded | PostSaved | PostShared


class Act(NamedTuple):
    """``person`` turned to the item ``name`` on ``day`` (since 1970, UTC); ``value`` says how and when, see
    ``value_of``. ``author`` is the post's: a hashtag or place is shown to who may see somebody's posts with it."""

    mark: Mark
    name: str
    person: int
    author: int
    day: int
    value: int


def name_of(kind: str, item: str | int) -> str:
    """The name of an item: a post's id, or the text of a hashtag or place."""
    return f"{KINDS[kind]}:{item}"


def value_of(weight: int, step_of_day: int) -> int:
    """One action as an integer: the heavier the larger, and of equal ones the earlier."""
    return weight * STEPS_A_DAY + STEPS_A_DAY - 1 - step_of_day


def weight_and_step(value: int) -> tuple[int, int]:
    """The weight and the step of the day (0 to 287) of a ``value_of``."""
    weight, rest = divmod(value, STEPS_A_DAY)
    return weight, STEPS_A_DAY - 1 - rest


def bucket_of_name(name: str, buckets: int) -> int:
    """The bucket, 0 to ``buckets - 1``, in which an item lives for ever: by a hash of its name, since texts have no
    number."""
    return (crc32(name.encode()) * buckets) >> 32


def project(batch: Sequence[Record]) -> list[Act]:
    """One write for each item of each action that counts."""
    writes: list[Act] = []
    for tp, offset, timestamp, event in batch:
        weight = _weight(event)
        if not weight:
            continue
        assert isinstance(event, Action)  # noqa: S101 (nothing else has a weight)
        person = event.viewer_id if isinstance(event, PostSeen) else event.actor_id
        if person == event.author_id:
            continue
        day, step = divmod(max(min(event.at, timestamp), 0) // STEP_MS, STEPS_A_DAY)
        mark, value = Mark(tp, offset), value_of(weight, step)
        writes += [Act(mark, name, person, event.author_id, day, value) for name in _names(event)]
    return writes


def _weight(event: object) -> int:
    match event:
        case PostLiked():
            return LIKED
        case PostSeen():
            return SEEN if event.dwell_ms >= SEEN_MS else 0
        case CommentAdded():
            return COMMENTED
        case PostSaved():
            return SAVED
        case PostShared():
            return SHARED
        case _:
            return 0


def _names(event: Action) -> Iterator[str]:
    yield f"p:{event.post_id}"
    # A comment's own tags are words of whoever commented, and not what the post is about.
    for tag in dict.fromkeys(event.post_hashtags if isinstance(event, CommentAdded) else event.hashtags):
        yield f"t:{tag}"
    if event.place:
        yield f"l:{event.place}"


TRENDING: View[Act] = View("trending", ("engagement", "activity"), project)
