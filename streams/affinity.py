"""Affinity: how much somebody turns to somebody else's posts, and since when they follow them.

An action counts at its *effective time*, the earlier one of its own and the broker's, in steps of two days, with the
weight that trends give it. What is held of a pair is the sum of weights of each step: integers, whose sums are the
same in any order. They decay *forward*, when they are read: what fell into step k counts 2^((k - now) / 7), so a
half-life is 14 days, nothing is ever swept, and all pairs fall alike as time passes.

A pair keeps the steps after its *own* newest step minus ``KEPT_STEPS`` (eight half-lives, a weight of 1/256): a
function of the set of its events alone, in whatever order topics bring them. What is taken back (an unlike) stays
counted, as in trends. Of follows, the last word in the log stands; all words of a pair are in one partition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.events import (
    CommentAdded,
    Followed,
    FollowerRemoved,
    PostLiked,
    PostSaved,
    PostSeen,
    PostShared,
    ProfileVisited,
    Unfollowed,
)
from streams.records import Record
from streams.trending import COMMENTED, LIKED, SAVED, SEEN, SEEN_MS, SHARED
from streams.views import Mark, View

STEP_MS = 2 * 86_400_000
HALF_LIFE_STEPS = 7
KEPT_STEPS = 56
VISITED = 2
"""Of a profile: more than a look at a post, less than a word about it."""


class Turned(NamedTuple):
    """``viewer`` turned to ``author`` in ``step`` (of two days, since 1970), with ``weight``."""

    mark: Mark
    viewer: int
    author: int
    step: int
    weight: int


class Tied(NamedTuple):
    """``viewer`` follows ``author`` since this time in ms; 0: not, or no longer."""

    mark: Mark
    viewer: int
    author: int
    since: int


AffinityWrite = Turned | Tied


class Pair(NamedTuple):
    """What is held of a viewer and an author: since when the one follows the other (ms; 0 for not), and the sum of
    weights of each step in which they turned to them."""

    since: int
    steps: Mapping[int, int]


NO_PAIR = Pair(0, {})


def affinity(pair: Pair, at_ms: int) -> float:
    """The decayed sum of weights at a moment. What came later, or lies out of reach, does not count."""
    now = at_ms // STEP_MS
    reached = sorted(step for step in pair.steps if now - KEPT_STEPS < step <= now)
    return math.fsum(pair.steps[step] * math.exp2((step - now) / HALF_LIFE_STEPS) for step in reached)


def project(batch: Sequence[Record]) -> list[AffinityWrite]:
    """One write for each action towards somebody else, each follow and each end of one."""
    writes: list[AffinityWrite] = []
    for tp, offset, timestamp, event in batch:
        mark, at = Mark(tp, offset), max(min(event.at, timestamp), 0)
        match event:
            case Followed():
                writes.append(Tied(mark, event.follower_id, event.followee_id, at))
            case Unfollowed() | FollowerRemoved():
                writes.append(Tied(mark, event.follower_id, event.followee_id, 0))
            case _:
                turned = turn_of(event)
                if turned is not None:
                    viewer, author, weight = turned
                    writes.append(Turned(mark, viewer, author, at // STEP_MS, weight))
    return writes


def turn_of(event: object) -> tuple[int, int, int] | None:
    """(viewer, author, weight) of an action towards somebody else's posts or profile; None for what is none."""
    match event:
        case PostLiked():
            found = event.actor_id, event.author_id, LIKED
        case PostSeen(dwell_ms=dwell) if dwell >= SEEN_MS:
            found = event.viewer_id, event.author_id, SEEN
        case CommentAdded():
            found = event.actor_id, event.author_id, COMMENTED
        case PostSaved():
            found = event.actor_id, event.author_id, SAVED
        case PostShared():
            found = event.actor_id, event.author_id, SHARED
        case ProfileVisited():
            found = event.viewer_id, event.profile_id, VISITED
        case _:
            return None
    return found if found[0] != found[1] else None


AFFINITY: View[AffinityWrite] = View("affinity", ("engagement", "activity", "graph"), project)
