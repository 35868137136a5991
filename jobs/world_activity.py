"""What people look at while a simulated world runs: posts, profiles, what they search and what they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.world import World
from jobs.world_likes import Post, about
from schemas.events import (
    Event,
    NotificationPreferencesChanged,
    NotificationsSeen,
    PostSeen,
    ProfileVisited,
    Searched,
)
from schemas.events_activity import SURFACES
from streams.experiments import RANKED, Exposure, assigned, experiments_of
from streams.notifications import KINDS

_FRESH = 200
_TRIES = 5
"""Of finding something that is somebody else's."""
_SURFACE_WEIGHTS = (70, 10, 15, 5)
_PAGE = 30
_EXPERIMENTS = experiments_of("order-1=latest:40,ranked:40")
_MODEL, _UNRANKED = "20260101T000000-0123456789ab", 0.02
"""What ranks in this world, and how often it cannot."""


class Activity:
    """Most of what is seen is new and stands high in a feed; how long it is looked at is log-normal."""

    def __init__(self, world: World) -> None:
        self._world, self._random, self._ids = world, world.random, world.ids
        self._position = 0

    def event(self, kind: str, user: int, alive: Sequence[Post]) -> Event | None:
        """What ``user`` does of ``kind``; None where there is nothing to look at."""
        random = self._random
        match kind:
            case "seen":
                return self._seen(user, alive)
            case "visit":
                for profile in random.choices(self._world.people, k=_TRIES):
                    if profile != user:
                        return ProfileVisited(**self._by(user), viewer_id=user, profile_id=profile)
                return None
            case "search":
                by = self._by(user)
                query = self._world.sealed(user, by["event_id"], "query", self._world.words(1))
                what = random.choice(("people", "hashtags", "places", "captions", ""))
                return Searched(**by, viewer_id=user, query=query, kind=what, results=random.randrange(20))
            case "notices":
                # Nobody here knows how many there are: the newest that anybody could have been told of.
                self._position += random.randrange(3)
                return NotificationsSeen(**self._by(user), viewer_id=user, position=self._position)
        silenced, unpushed = (sorted(random.sample(KINDS, random.choice((0, 0, 1, 2)))) for _ in range(2))
        return NotificationPreferencesChanged(**self._by(user), recipient_id=user, silenced=silenced, unpushed=unpushed)

    def _seen(self, user: int, alive: Sequence[Post]) -> Event | None:
        random = self._random
        post = next((one for one in (self._some(alive) for _ in range(_TRIES)) if one and one.author != user), None)
        if post is None:
            return None
        (surface,) = random.choices(SURFACES, _SURFACE_WEIGHTS)
        dwell = min(int(random.lognormvariate(7.3, 1.0)), 3_600_000)
        rank = 0 if surface == "post" else min(int(random.expovariate(0.15)), _PAGE - 1)
        exposure: dict[str, Any] = self._exposure(user, dwell) if surface == "feed" else {}
        return PostSeen(
            **self._by(user),
            viewer_id=user,
            post_id=post.post_id,
            author_id=post.author,
            dwell_ms=dwell,
            surface=surface,
            rank=rank,
            **exposure,
            **about(post),
        )

    def _some(self, alive: Sequence[Post]) -> Post | None:
        random = self._random
        if not alive:
            return None
        newest = random.random() < 0.8
        return alive[-1 - random.randrange(min(_FRESH, len(alive)))] if newest else random.choice(alive)

    def _exposure(self, user: int, dwell: int) -> dict[str, str]:
        """By lot, as a gateway would say. Now and then ranking is late: by ``dwell``, so that what else happens in this
        world is the same with experiments and without."""
        given = assigned(_EXPERIMENTS, user)
        if given is None:
            return {}
        ranked = given[1].name == RANKED and dwell % 100 >= 100 * _UNRANKED
        return Exposure(given[0].name, given[1].name, _MODEL if ranked else "")._asdict()

    def _by(self, actor: int) -> dict[str, Any]:
        return {"event_id": self._ids.next(), "at": self._ids.at, "actor_id": actor}
