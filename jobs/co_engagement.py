"""Trains the co-engagement model: who turned to what, in which order, becomes neighbours of posts and factors.

The neighbours count how often two posts stand near each other in what one person turned to, half as much with each
``GAP_HALF_LIFE`` further apart, and less for posts to which everybody turns. The factors are ``implicit``'s ALS. How
both are mixed is chosen on the last post of each person of the training log, which is held out for that alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from streams.co_engagement import Floats, Model, Taste

FACTORS, REGULARIZATION, ALPHA, ITERATIONS = 32, 0.05, 10.0, 15
NEIGHBOURS, GAP, GAP_HALF_LIFE, POPULARITY_POWER, SHRINK = 200, 50, 10.0, 0.75, 5.0
REMEMBERED = 200
"""Posts of each person, the newest, that a model knows."""
TASTES = tuple(Taste(half, weight) for half in (3.0, 10.0, 30.0) for weight in (0.0, 0.3, 1.0, 3.0))
CHOSEN_BY = 1000
"""People, at most, on whom the mixture is chosen."""
SEED = 1


class Turned(NamedTuple):
    """Somebody turned to a post at ``at``, in any unit that grows with time."""

    person: int
    post: int
    at: float


Histories = Mapping[int, Sequence[int]]
"""Person → the posts to which they turned, oldest first, each once."""


def histories_of(log: Iterable[Turned]) -> dict[int, list[int]]:
    """What each person turned to, oldest first by the first time, ties as they come in ``log``."""
    found: dict[int, dict[int, None]] = {}
    for one in sorted(log, key=lambda one: one.at):
        found.setdefault(one.person, {}).setdefault(one.post)
    return {person: list(posts) for person, posts in found.items()}


def train(histories: Histories, tastes: Sequence[Taste] = TASTES) -> tuple[Model, dict[str, float]]:
    """The model of ``histories``, and the hit rate at 10 by which each mixture did on what was held out to choose.

    Raises ValueError where there is nothing to learn from.
    """
    if not any(len(posts) > 1 for posts in histories.values()):
        raise ValueError("nobody turned to two posts: there is nothing to learn from yet")
    tried: dict[str, float] = {}
    best = tastes[0]
    held = {person: posts[-1] for person, posts in histories.items() if len(posts) > 2}
    if held and len(tastes) > 1:
        earlier = fitted({person: posts[: -1 if person in held else None] for person, posts in histories.items()}, best)
        some = dict(sorted(held.items())[:CHOSEN_BY])
        rates = {taste: hit_rate(earlier, some, taste=taste) for taste in tastes}
        tried = {f"half_life={taste.half_life} factor_weight={taste.factor_weight}": rates[taste] for taste in tastes}
        best = max(tastes, key=lambda taste: rates[taste])  # the first of equal ones
    return fitted(histories, best), tried


def hit_rate(model: Model, held: Mapping[int, int], count: int = 10, taste: Taste | None = None) -> float:
    """For which share of people the post that was ``held`` out is among the first ``count`` that ``model`` gives."""
    hits = sum(post in model.recommend(person, count, taste) for person, post in held.items())
    return hits / len(held)


def fitted(histories: Histories, taste: Taste) -> Model:
    """A model with ``taste`` as it is given."""
    posts, people = np.unique([p for some in histories.values() for p in some]), np.array(sorted(histories))
    places = [np.searchsorted(posts, histories[int(person)]).astype(np.int32) for person in people]
    neighbours, weights = _neighbours(places, len(posts))
    tastes, factors = _factors(_matrix(places, len(posts)))
    kept = [some[-REMEMBERED:] for some in places]
    starts = np.concatenate([[0], np.cumsum([len(some) for some in kept])]).astype(np.int64)
    history = np.concatenate(kept).astype(np.int32)
    return Model(posts, neighbours, weights, factors, people, tastes, starts, history, taste)


def of_factors(model: Model) -> Model:
    """``model`` without its neighbours: ALS alone."""
    return replace(model, weights=np.zeros_like(model.weights), taste=Taste(1.0, 1.0))


def _matrix(places: Sequence[npt.NDArray[np.int32]], posts: int) -> Any:
    rows = np.repeat(np.arange(len(places)), [len(some) for some in places])
    ones = np.ones(len(rows), np.float32)
    return sparse.csr_matrix((ones, (rows, np.concatenate(places))), shape=(len(places), posts))


def _factors(matrix: Any) -> tuple[Floats, Floats]:
    # Imported late: it takes half a second, and only training needs it.
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        als = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=REGULARIZATION,
            alpha=ALPHA,
            iterations=ITERATIONS,
            random_state=SEED,
            num_threads=1,  # more threads add in another order, and a model is to come out the same
        )
        als.fit(matrix, show_progress=False)
    return als.user_factors, als.item_factors


def _neighbours(places: Sequence[npt.NDArray[np.int32]], posts: int) -> tuple[npt.NDArray[np.int32], Floats]:
    near = sparse.csr_matrix((posts, posts), dtype=np.float32)
    longest = max(len(some) for some in places)
    for gap in range(1, min(GAP, longest - 1) + 1):
        before = np.concatenate([some[:-gap] for some in places])
        after = np.concatenate([some[gap:] for some in places])
        weight = np.full(len(before), 0.5 ** ((gap - 1) / GAP_HALF_LIFE), np.float32)
        near = near + sparse.csr_matrix((weight, (before, after)), shape=(posts, posts))
    near = near + near.T
    popularity = np.bincount(np.concatenate(places), minlength=posts)
    near = (near @ sparse.diags((popularity + SHRINK) ** -POPULARITY_POWER)).tocsr()
    width = min(NEIGHBOURS, posts)
    found, weights = np.zeros((posts, width), np.int32), np.zeros((posts, width), np.float32)
    for place in range(posts):
        row = slice(near.indptr[place], near.indptr[place + 1])
        values, indices = near.data[row], near.indices[row]
        best = np.lexsort((indices, -values))[:width]
        found[place, : len(best)], weights[place, : len(best)] = indices[best], values[best]
    return found, weights
