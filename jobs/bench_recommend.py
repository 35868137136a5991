"""``shutterlog bench recommend``: how often the model puts what somebody turned to last among its first ten.

The log is any that ``jobs/interaction_logs.py`` reads, such as MovieLens' ratings. Of five stars four are a like, as is
of any other scale what has four fifths of the log's highest rating; without ratings, every line is one. Without times
they happened in the log's order. Each person's last like is held out, and neither seen in training nor in choosing how
the model mixes its opinions. The yardstick, in the same run and by the same count, is popularity: the posts most liked,
without those that the person liked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from jobs import interaction_logs
from jobs.co_engagement import Histories, Turned, histories_of, hit_rate, of_factors, train
from jobs.interaction_logs import Numbers

LOG = Path("../shared/data/events/ml-latest-small/ratings.csv.gz")
STARS, OF_HIGHEST = 5.0, 0.8
FIRST = 10
_OWN_IDS = 2**62
_MADE_PEOPLE, _MADE_POSTS, _MADE_TASTES = 300, 400, 8


def run(log: Path | None = None) -> dict[str, object]:
    """Train on ``log`` (MovieLens where it is there, else one that is made) and try. Raises ``OSError``, and
    ``ValueError`` for a log that is none."""
    found = log or (LOG if LOG.exists() else None)
    histories = histories_of(read(found) if found else made())
    held = {person: posts[-1] for person, posts in histories.items() if len(posts) > 1}
    if not held:
        raise ValueError(f"{found}: nobody has two likes, so nothing can be held out")
    training = {person: posts[:-1] if person in held else posts for person, posts in histories.items()}
    begin = time.perf_counter()
    model, tried = train(training)
    seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    rate = hit_rate(model, held, FIRST)
    each = (time.perf_counter() - begin) / len(held)
    popular = popularity(training, held)
    return {
        "name": "recommend",
        "figure": round(rate, 4),
        "unit": f"hit rate at {FIRST}, last like held out",
        "yardstick": round(popular, 4),
        "yardstick_name": "popularity",
        "ratio": round(rate / popular, 3) if popular else None,
        "samples": len(held),
        "log": found.name if found else "made",
        "als": round(hit_rate(of_factors(model), held, FIRST), 4),
        "neighbours": round(hit_rate(model, held, FIRST, model.taste._replace(factor_weight=0.0)), 4),
        "chosen": model.taste._asdict(),
        "tried": {name: round(one, 4) for name, one in tried.items()},
        "people": len(model.people),
        "posts": len(model.posts),
        "train_seconds": round(seconds, 1),
        "recommend_ms": round(1000 * each, 2),
    }


def popularity(training: Histories, held: Mapping[int, int]) -> float:
    """The hit rate of what most people liked, without what each person liked."""
    counts = Counter(post for posts in training.values() for post in posts)
    ranked = [post for post, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
    hits = 0
    for person, post in held.items():
        liked = set(training[person])
        hits += post in islice((one for one in ranked if one not in liked), FIRST)
    return hits / len(held)


def read(path: Path) -> Iterator[Turned]:
    """The likes of a log. Raises ``OSError``, and ``ValueError`` with the line that is none."""
    people, posts = Numbers(_OWN_IDS, _OWN_IDS), Numbers(_OWN_IDS, _OWN_IDS)
    log = list(interaction_logs.read(path))
    highest = max((row.rating for row in log if row.rating is not None), default=0.0)
    least = OF_HIGHEST * (STARS if 1 < highest <= STARS else highest)
    for number, row in enumerate(log):
        if row.rating is None or row.rating >= least:
            yield Turned(people.of(row.user), posts.of(row.item), number if row.at is None else row.at)


def made(seed: int = 1) -> list[Turned]:
    """A world of tastes: everybody likes posts of one or two tastes, in runs, and now and then what everybody likes."""
    chance = np.random.default_rng(seed)
    of = np.array_split(np.arange(_MADE_POSTS), _MADE_TASTES)
    log: list[Turned] = []
    for person in range(_MADE_PEOPLE):
        tastes = chance.choice(_MADE_TASTES, 2, replace=False)
        for at in range(int(chance.integers(8, 30))):
            taste = tastes[at // 6 % 2]
            own = of[taste][int(chance.zipf(1.3)) % len(of[taste])]
            anything = int(chance.zipf(1.2)) % _MADE_POSTS
            log.append(Turned(person, int(anything if chance.random() < 0.1 else own), 1000.0 * person + at))
    return log
