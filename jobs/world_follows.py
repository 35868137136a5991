"""Who follows whom while a simulated world runs: changes to a graph, held small beside it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np

from jobs.graphs import Graph

_RECENT = 50


class Follows:
    """The graph and what has changed since. People are numbers."""

    def __init__(self, graph: Graph, random: Random) -> None:
        self._people, self._random = graph.people, random
        self._first = np.sort(graph.followers * graph.people + graph.followees)
        self._graph = graph
        self._gone: set[int] = set()
        self._added: set[int] = set()
        self._listed: list[int] = []
        """Every pair that was ever added, so that one of ``_added`` can be chosen."""
        self._recent: list[int] = []

    def follows(self, follower: int, followee: int) -> bool:
        """Whether ``follower`` follows ``followee`` now."""
        return self._has(follower * self._people + followee)

    def friend(self, follower: int) -> int | None:
        """One of those whom ``follower`` followed when the world began, and still follows; None where none is found."""
        start, end = np.searchsorted(self._first, [follower * self._people, (follower + 1) * self._people]).tolist()
        if start == end:
            return None
        pair = int(self._first[start + self._random.randrange(end - start)])
        return pair % self._people if self._has(pair) else None

    def someone_followed(self) -> int:
        """A person, the more often the more follow them."""
        if not len(self._graph):
            return self._random.randrange(self._people)
        return int(self._graph.followees[self._random.randrange(len(self._graph))])

    def change(self, kind: str, someone: Callable[[], int]) -> tuple[int, int, bool] | None:
        """(follower, followee, follows from now on), or None where none was found.

        ``follow`` begins a new pair by ``someone`` active, ``unfollow`` ends one, ``toggle`` turns a pair that changed
        lately: follow, unfollow and follow again in a short time.
        """
        pair: int | None = None
        if kind == "toggle" and self._recent:
            pair = self._random.choice(self._recent)
        elif kind == "unfollow":
            pair = self._present()
        if pair is None:
            pair = self._absent(someone)
        if pair is None:
            return None
        follows = not self._has(pair)
        self._set(pair, follows)
        return pair // self._people, pair % self._people, follows

    def _has(self, pair: int) -> bool:
        return pair in self._added or (pair not in self._gone and self._at_first(pair))

    def _at_first(self, pair: int) -> bool:
        place = int(np.searchsorted(self._first, pair))
        return place < len(self._first) and int(self._first[place]) == pair

    def _present(self) -> int | None:
        for _ in range(20):
            choice = self._random.randrange(len(self._first) + len(self._listed) or 1)
            if choice < len(self._first):
                pair = int(self._first[choice])
            elif self._listed:
                pair = self._listed[choice - len(self._first)]
            else:
                return None
            if self._has(pair):
                return pair
        return None

    def _absent(self, someone: Callable[[], int]) -> int | None:
        for _ in range(20):
            follower, followee = someone(), self.someone_followed()
            pair = follower * self._people + followee
            if follower != followee and not self._has(pair):
                return pair
        return None

    def _set(self, pair: int, follows: bool) -> None:
        if not follows:
            self._added.discard(pair)
            if self._at_first(pair):
                self._gone.add(pair)
        elif self._at_first(pair):
            self._gone.discard(pair)
        else:
            self._added.add(pair)
            self._listed.append(pair)
        self._recent.append(pair)
        if len(self._recent) > _RECENT:
            self._recent.pop(0)
