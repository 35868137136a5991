"""Who turned to whom as the log says it, in plain Python, and the view against that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.verify_differences import Differences
from schemas.events import (
    CommentAdded,
    Event,
    Followed,
    FollowerRemoved,
    PostLiked,
    PostSaved,
    PostSeen,
    PostShared,
    ProfileVisited,
    Unfollowed,
)
from sinks.affinity import AffinityScan
from streams.affinity import NO_PAIR, Pair

_STEP, _STEPS = 172_800_000, 56
_WEIGHTS: dict[type[Event], int] = {
    PostSeen: 1,
    ProfileVisited: 2,
    PostLiked: 4,
    CommentAdded: 8,
    PostSaved: 12,
    PostShared: 16,
}
_AT_ONCE = 1000


@dataclass
class AffinityFold:
    """What everybody did with everybody's posts, step by step, and whom they follow since when."""

    turned: dict[int, dict[int, Counter[int]]] = field(default_factory=dict)
    """Viewer → author → weights by step of two days."""
    since: dict[int, dict[int, int]] = field(default_factory=dict)
    """Follower → followee → time in ms."""

    def take(self, event: Event, timestamp: int) -> None:
        """Fold one event, which the broker took at ``timestamp``."""
        at = max(0, min(event.at, timestamp))
        if isinstance(event, Followed):
            self.since.setdefault(event.follower_id, {})[event.followee_id] = at
        elif isinstance(event, Unfollowed | FollowerRemoved):
            self.since.get(event.follower_id, {}).pop(event.followee_id, None)
        elif weight := _WEIGHTS.get(type(event)):
            if isinstance(event, PostSeen) and event.dwell_ms < 1000:
                return
            whose = event.profile_id if isinstance(event, ProfileVisited) else event.author_id  # type: ignore[attr-defined]
            if whose != event.actor_id:
                self.turned.setdefault(event.actor_id, {}).setdefault(whose, Counter())[at // _STEP] += weight

    def viewers(self) -> set[int]:
        """Everybody of whom something should be held."""
        return set(self.turned) | {viewer for viewer, authors in self.since.items() if authors}

    def pairs(self, viewer: int) -> dict[int, Pair]:
        """What should be held of one of them, by author."""
        since, turned = self.since.get(viewer, {}), self.turned.get(viewer, {})
        found = {}
        for author in since.keys() | turned.keys():
            steps = turned.get(author, Counter())
            last = max(steps, default=0)
            kept = {step: n for step, n in steps.items() if last - step < _STEPS}
            found[author] = Pair(since.get(author, 0), kept)
        return found


class AffinityComparison:
    """Compares everything; ``moved`` hears (done, of) in viewers."""

    def __init__(self, fold: AffinityFold, moved: Callable[[int, int], None]) -> None:
        self._fold, self._moved = fold, moved

    async def run(self, scan: AffinityScan) -> Differences:
        """What differs. Raises ``StoreAway``."""
        found, done = Differences(), 0
        viewers = sorted({*await scan.viewers(), *self._fold.viewers()})
        async for viewer, held in scan.held(viewers):
            says = self._fold.pairs(viewer)
            for author in says.keys() | held.keys():
                found.checked += 1
                is_, should = held.get(author, NO_PAIR), says.get(author, NO_PAIR)
                if is_.since != should.since:
                    sentence = f"{viewer} follows {author} since {is_.since}, the log says {should.since}"
                    found.add((viewer, author, "since"), sentence)
                if is_.steps != should.steps:
                    sums = sum(is_.steps.values()), sum(should.steps.values())
                    sentence = f"{viewer} turned to {author} with weights of {sums[0]}, the log says {sums[1]}"
                    found.add((viewer, author, "weights"), sentence)
            done += 1
            if not done % _AT_ONCE:
                self._moved(done, len(viewers))
        return found
