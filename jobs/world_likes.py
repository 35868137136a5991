"""Who likes what while a simulated world runs."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

CROSSED_SHARE = 0.02
"""Likes that come after the deletion of their post."""
IDLE_SHARE = 0.03
"""Unlikes of what was never liked."""
_FRESH = 50


class Post(NamedTuple):
    """A post of the world. ``mentions`` are people whom the caption names, ``tagged`` those who are in the picture."""

    post_id: int
    author: int
    hashtags: tuple[str, ...] = ()
    place: str = ""
    mentions: tuple[int, ...] = ()
    tagged: tuple[int, ...] = ()


def about(post: Post) -> dict[str, Any]:
    """What those who do something with a post say of it."""
    return {"hashtags": list(post.hashtags), "place": post.place}


class Likes:
    """A few posts have most likes: popularity is a power law among all that stand, and half of the likes go to the
    newest, some of which are not published yet. People like twice, and their own posts too."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._standing: list[tuple[int, Post]] = []
        """(person, post) of what was liked and not taken back, in no order."""

    def change(
        self, kind: str, user: int, alive: Sequence[Post], dead: Sequence[Post]
    ) -> tuple[int, Post, bool] | None:
        """(person, post, likes it from now on), or None where there is no post. An ``unlike`` takes back a like that
        stands, whoever made it."""
        random = self._random
        if kind == "unlike" and self._standing and random.random() >= IDLE_SHARE:
            place = random.randrange(len(self._standing))
            taken_back, self._standing[place] = self._standing[place], self._standing[-1]
            self._standing.pop()
            return *taken_back, False
        crossed = dead and random.random() < CROSSED_SHARE
        if not (crossed or alive):
            return None
        post = random.choice(dead) if crossed else self._among(alive)
        if kind == "unlike":
            return user, post, False
        self._standing.append((user, post))
        return user, post, True

    def _among(self, alive: Sequence[Post]) -> Post:
        if self._random.random() < 0.5:
            return alive[-1 - self._random.randrange(min(_FRESH, len(alive)))]
        return alive[int(len(alive) * self._random.random() ** 4)]
