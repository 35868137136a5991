"""What a person may like that they have not seen: candidates from several sources, arranged into one list.

Pure: who may see what is decided before, by the rules; what time it is, is given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

TRENDING: Final = "trending"
SAVED: Final = "saved_by_followed"
SIMILAR: Final = "similar"
"""Why a post is a candidate: people turn to it now; people whom one follows keep it; people of one's taste turned to
it."""
WEIGHTS = {SAVED: 1.2, SIMILAR: 1.0, TRENDING: 0.8}
"""What the first place in each source's list counts for; who follows somebody chose them, so they count most."""
RANK_SMOOTHING = 20
"""Ranks count as 1 / (this + rank): the first ones differ little, and to be in two lists counts for more."""
FOLLOWED_SHARE = 0.5
"""Of its score has a post of somebody whom one follows: it stands in the feed already."""
FRESH_MS, OLD_SHARE = 7 * 86_400_000, 0.5
"""Novelty: what a new post has above an old one halves in so long; the oldest keeps this share."""
LISTED = 200


class Candidate(NamedTuple):
    """A post in a source's list; ``people`` of whom its reason tells, 0 where it tells of none."""

    post_id: int
    people: int = 0


class About(NamedTuple):
    """What is known of a post. ``at`` in ms."""

    author_id: int
    at: int


class Pick(NamedTuple):
    """A post in the list, and the source that counts most for it."""

    post_id: int
    source: str
    people: int


def arrange(
    sources: Mapping[str, Sequence[Candidate]],
    posts: Mapping[int, About],
    followed: Collection[int],
    now: int,
    most: int = LISTED,
) -> list[Pick]:
    """The list, the best first, ties by the newer id: at most one post of each author, so that what the rules take out
    later never brings two of one close together. Candidates that are not in ``posts`` are left out; ``followed`` names
    authors. ``now`` in ms."""
    scores: dict[int, float] = {}
    reasons: dict[int, tuple[float, Pick]] = {}
    for source, candidates in sorted(sources.items()):
        for rank, (post_id, people) in enumerate(candidates, 1):
            if post_id not in posts:
                continue
            part = WEIGHTS[source] * (RANK_SMOOTHING + 1) / (RANK_SMOOTHING + rank)
            scores[post_id] = scores.get(post_id, 0.0) + part
            if part > reasons.get(post_id, (0.0,))[0]:
                reasons[post_id] = part, Pick(post_id, source, people)
    for post_id in scores:
        about = posts[post_id]
        age = max(now - about.at, 0)
        scores[post_id] *= OLD_SHARE + (1 - OLD_SHARE) * 0.5 ** (age / FRESH_MS)
        if about.author_id in followed:
            scores[post_id] *= FOLLOWED_SHARE
    found: dict[int, Pick] = {}
    for post_id in sorted(scores, key=lambda post_id: (-scores[post_id], -post_id)):
        if len(found) == most:
            break
        found.setdefault(posts[post_id].author_id, reasons[post_id][1])
    return list(found.values())


def counted(keepers: Mapping[int, Collection[int]], least: int) -> list[Candidate]:
    """The posts that at least ``least`` people keep, those first that most do, ties by the newer id."""
    found = [Candidate(post_id, len(people)) for post_id, people in keepers.items() if len(people) >= least]
    return sorted(found, key=lambda one: (-one.people, -one.post_id))
