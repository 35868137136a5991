"""A made-up world in which it is known what people like: for the bench of ranking and its tests.

Viewers and authors have tastes; how near two are, how good a post is, and how fresh, say with what probability the
viewer does what. Authors post the more the less they are liked for it, on average. People see their feeds in latest
order, from the top, and look less and less. The same seed gives the same world.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from schemas.events import CommentAdded, Event, Followed, PostLiked, PostSaved, PostSeen, PostShared, PostSubmitted
from schemas.ids import MIN_ID, made_at, snowflake
from streams.ranking import DWELL_MS, WORTH, Candidate

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
BEGIN = 1_760_000_000_000
_TASTES = 4
_LIKED, _COMMENTED, _SAVED, _SHARED = -2.2, -4.2, -3.8, -4.4
"""How much of a mind each takes, in logits."""


class Plan(NamedTuple):
    """How large. ``follows``: how many each viewer follows; ``a_day``: posts of an author, on average; ``page``: how
    many posts are looked at in each of two sittings a day."""

    viewers: int
    authors: int
    follows: int
    days: int
    a_day: float
    page: int
    seed: int = 1


class RankingWorld:
    """The world and its ``events``, by time. ``now`` is when they end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._random = chance = np.random.default_rng(plan.seed)
        self.viewers = [MIN_ID + 1_000_000 + n for n in range(plan.viewers)]
        self.authors = [MIN_ID + 2_000_000 + n for n in range(plan.authors)]
        self.now = BEGIN + plan.days * DAY_MS
        near = chance.normal(size=(plan.viewers, _TASTES)) @ chance.normal(size=(plan.authors, _TASTES)).T
        popularity = chance.normal(scale=0.5, size=plan.authors)
        self._near = near / np.sqrt(_TASTES) + popularity
        self._rate = plan.a_day * np.exp(-0.8 * popularity + chance.normal(scale=0.3, size=plan.authors))
        self.follows = [
            sorted(chance.choice(plan.authors, plan.follows, replace=False).tolist()) for _ in range(plan.viewers)
        ]
        self.posts: dict[int, Candidate] = {}
        self._made: list[list[int]] = [[] for _ in range(plan.authors)]
        self._quality: dict[int, float] = {}
        self.events: list[Event] = []
        self._live()
        self.events.sort(key=lambda event: event.at)

    def candidates(self, viewer: int, at: int, most: int) -> list[Candidate]:
        """The newest ``most`` posts of those whom the ``viewer``-th one follows, newest first."""
        ids = [post for author in self.follows[viewer] for post in self._made[author] if made_at(post) <= at]
        return [self.posts[post] for post in sorted(ids, reverse=True)[:most]]

    def truth(self, viewer: int, post: Candidate, at: int) -> list[float]:
        """The probability of each head, were the post shown at the first place."""
        mind = self._mind(viewer, post, at)
        looks = float(1 / (1 + np.exp(-(mind - (np.log(DWELL_MS) - 7.2)))))
        return [*(float(1 / (1 + np.exp(-(mind + of)))) for of in (_LIKED, _COMMENTED, _SAVED, _SHARED)), looks]

    def worth(self, viewer: int, post: Candidate, at: int) -> float:
        """What may be expected of showing it."""
        return float(np.dot(self.truth(viewer, post, at), WORTH))

    def _mind(self, viewer: int, post: Candidate, at: int) -> float:
        author = post.author_id - self.authors[0]
        age = np.log1p(max(at - made_at(post.post_id), 0) / DAY_MS)
        kind = 0.4 * (post.pictures > 1)
        return float(1.3 * self._near[viewer, author] + self._quality[post.post_id] + kind - 0.5 * age)

    def _live(self) -> None:
        plan, chance = self.plan, self._random
        for viewer, authors in enumerate(self.follows):
            for author in authors:
                at = BEGIN - int(chance.exponential(60) * DAY_MS)
                given = {"follower_id": self.viewers[viewer], "followee_id": self.authors[author]}
                self.events.append(Followed(**self._by(self.viewers[viewer], at), **given))
        for author, rate in enumerate(self._rate):
            for at in sorted(BEGIN + chance.integers(0, plan.days * DAY_MS, chance.poisson(rate * plan.days))):
                self._post(author, int(at))
        for viewer in range(plan.viewers):
            seen: set[int] = set()
            for day in range(plan.days):
                for hour in sorted(chance.integers(0, 24, 2).tolist()):
                    self._sit(viewer, BEGIN + day * DAY_MS + hour * HOUR_MS + int(chance.integers(0, HOUR_MS)), seen)

    def _post(self, author: int, at: int) -> None:
        post_id = snowflake(at, author % 1024, len(self.posts) % 4096)
        tags = ["t"] * int(self._random.poisson(0.5))
        place = "Oslo" if self._random.random() < 0.3 else ""
        media = [MIN_ID] * (1 + int(self._random.poisson(0.6)))
        self._made[author].append(post_id)
        self._quality[post_id] = float(self._random.normal(scale=0.8))
        self.posts[post_id] = Candidate(post_id, self.authors[author], len(media), len(tags), bool(place), False)
        given: dict[str, Any] = {"post_id": post_id, "author_id": self.authors[author], "media_ids": media}
        given |= {"hashtags": tags, "place": place, "caption": b""}
        self.events.append(PostSubmitted(**self._by(self.authors[author], at), **given))

    def _sit(self, viewer: int, at: int, seen: set[int]) -> None:
        page = [post for post in self.candidates(viewer, at, 10 * self.plan.page) if post.post_id not in seen]
        for place, post in enumerate(page[: self.plan.page]):
            seen.add(post.post_id)
            mind = self._mind(viewer, post, at) - 0.05 * place
            dwell = int(min(np.exp(7.2 + mind + self._random.logistic()), 120_000)) + 100
            about: dict[str, Any] = {"post_id": post.post_id, "author_id": post.author_id}
            sight: dict[str, Any] = {
                "viewer_id": self.viewers[viewer],
                "dwell_ms": dwell,
                "surface": "feed",
                "rank": place,
            }
            by = self._by(self.viewers[viewer], at + dwell)
            self.events.append(PostSeen(**by, **about, **sight))
            does = self._random.random(4) < 1 / (1 + np.exp(-(mind + np.array([_LIKED, _COMMENTED, _SAVED, _SHARED]))))
            acting = self._by(self.viewers[viewer], at + dwell // 2)
            if does[0]:
                self.events.append(PostLiked(**acting, **about))
            if does[1]:
                self.events.append(CommentAdded(**acting, **about, comment_id=MIN_ID, text=b""))
            if does[2]:
                self.events.append(PostSaved(**acting, **about))
            if does[3]:
                self.events.append(PostShared(**acting, **about))
            at += dwell

    def _by(self, actor: int, at: int) -> dict[str, Any]:
        return {"event_id": MIN_ID, "at": at, "actor_id": actor}
