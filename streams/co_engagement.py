"""Co-engagement: what people who turned to the same posts turned to next, as a model that was trained before.

Two opinions are added. *Neighbours*: posts that the same people turned to shortly before or after the ones that a
person turned to last; the last ones count most. *Factors* (ALS): what people of the same taste turned to at any time.
Each opinion is scaled so that its tenth best post has 1, since only their order can be compared.

Pure: a model is arrays, wherever they are kept. Nothing here draws at random, and equal scores go by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
_SCALED_BY = 10
_NOBODY = np.zeros(0, np.int32)


class Taste(NamedTuple):
    """How a model is asked: chosen when it is trained."""

    half_life: float
    """Each half-life of a person's posts further back, a post counts half."""
    factor_weight: float
    """Of the factors' opinion, beside 1 of the neighbours'."""


@dataclass(frozen=True)
class Model:
    """``N`` posts, ``P`` people. Positions are those in ``posts``."""

    posts: Ids
    """N ids, ascending."""
    neighbours: Places
    """N × K positions; where a post has fewer, with weight 0."""
    weights: Floats
    """N × K, how near each neighbour is."""
    factors: Floats
    """N × F."""
    people: Ids
    """P ids, ascending."""
    tastes: Floats
    """P × F."""
    starts: Ids
    """P + 1 places in ``history``."""
    history: Places
    """The positions of what each person turned to, oldest first."""
    taste: Taste

    def turned_to(self, person: int) -> Places:
        """Positions of what this person had turned to, oldest first; empty for who is not known."""
        place = int(np.searchsorted(self.people, person))
        if place == len(self.people) or self.people[place] != person:
            return _NOBODY
        return self.history[self.starts[place] : self.starts[place + 1]]

    def recommend(self, person: int, count: int, taste: Taste | None = None) -> list[int]:
        """The ids of at most ``count`` posts for ``person``, the best first, none to which they had turned; none for
        somebody whom the model does not know."""
        turned_to = self.turned_to(person)
        if not len(turned_to) or count < 1:
            return []
        taste = taste or self.taste
        scores = _scaled(self._near(turned_to, taste.half_life))
        if taste.factor_weight:
            tastes = self.tastes[np.searchsorted(self.people, person)]
            scores += taste.factor_weight * _scaled(self.factors @ tastes)
        scores[turned_to] = -np.inf
        best = np.argsort(-scores, kind="stable")[:count]
        return [int(self.posts[place]) for place in best if scores[place] > 0]

    def _near(self, turned_to: Places, half_life: float) -> Floats:
        """The neighbours' opinion: N scores."""
        age = np.arange(len(turned_to))[::-1]
        counts = (0.5 ** (age / half_life)).astype(np.float32)
        near = self.weights[turned_to] * counts[:, None]
        scores: Any = np.bincount(self.neighbours[turned_to].ravel(), near.ravel(), minlength=len(self.posts))
        return scores.astype(np.float32)  # type: ignore[no-any-return]


def _scaled(scores: Floats) -> Floats:
    at = max(len(scores) - _SCALED_BY, 0)
    tenth = float(np.partition(scores, at)[at])
    # Where fewer than ten posts are of any interest, the best one is the measure.
    measure = tenth if tenth > 0 else float(scores.max(initial=0.0))
    return scores / np.float32(measure) if measure > 0 else np.zeros_like(scores)
