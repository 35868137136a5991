"""The topic ``graph``, folded in plain Python, and its tables against the fold.

Two foldings of the same events. What the rows say: the last event of a pair wins. And what the events *mean*, once
those that crossed a block or a change of privacy are settled: ``owed`` tells where the saga left the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.events import (
    Blocked,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    Muted,
    PrivacyChanged,
    Unblocked,
    Unfollowed,
    Unmuted,
)

Pair = tuple[int, int]
"""(follower, followee)."""
GRAPH = (
    Followed,
    Unfollowed,
    FollowRequested,
    FollowRejected,
    FollowerRemoved,
    Blocked,
    Unblocked,
    Muted,
    Unmuted,
    PrivacyChanged,
)


@dataclass
class GraphFold:
    """What ``graph`` gives. Events of one key come in the order in which they stand in the log."""

    following: dict[int, dict[int, int]] = field(default_factory=dict)
    """Follower → followee → time of the event that says so."""
    approved: set[Pair] = field(default_factory=set)
    """Follows that the followee allowed since they began."""
    requests: dict[Pair, int] = field(default_factory=dict)
    ties: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(whose, kind, other) → since; kind 1 blocks, 2 is blocked by, 3 mutes."""
    privacy: dict[int, list[tuple[bool, int]]] = field(default_factory=dict)
    """Person → (private, at) of each change, oldest first."""
    meant: set[Pair] = field(default_factory=set)
    """Follows that people said, settled."""
    asking: dict[int, set[int]] = field(default_factory=dict)
    """Followee → who asks them, as people said it, settled."""

    def take(self, event: Event) -> None:
        """Fold one event of ``graph``."""
        match event:
            case Followed() | Unfollowed() | FollowRequested() | FollowRejected() | FollowerRemoved():
                if event.follower_id != event.followee_id:  # views refuse it: nobody follows themselves
                    self._take_pair(event)
                    if not getattr(event, "source", ""):
                        self._mean_pair(event)
            case Blocked() | Unblocked():
                self._take_block(event)
            case Muted(muter_id=one, muted_id=other) if one != other:
                self.ties[one, 3, other] = event.at
            case Unmuted(muter_id=one, muted_id=other):
                self.ties.pop((one, 3, other), None)
            case PrivacyChanged():
                self.privacy.setdefault(event.user_id, []).append((event.private, event.at))
                if not event.private:
                    self.meant.update((a, event.user_id) for a in self.asking.pop(event.user_id, ()))

    def _take_pair(self, event: Followed | Unfollowed | FollowRequested | FollowRejected | FollowerRemoved) -> None:
        a, b = pair = event.follower_id, event.followee_id
        match event:
            case Followed():
                self.following.setdefault(a, {})[b] = event.at
                if event.actor_id == b:
                    self.approved.add(pair)
                    self.requests.pop(pair, None)
            case FollowRequested():
                if not event.follows:
                    self.requests[pair] = event.at
            case FollowRejected():
                self.requests.pop(pair, None)
            case _:
                self.following.get(a, {}).pop(b, None)
                self.approved.discard(pair)
                self.requests.pop(pair, None)

    def _take_block(self, event: Blocked | Unblocked) -> None:
        one, other = event.blocker_id, event.blocked_id
        if event.user_id not in (one, other) or one == other:
            return
        whose, kind, whom = (one, 1, other) if event.user_id == one else (other, 2, one)
        if isinstance(event, Blocked):
            self.ties[whose, kind, whom] = event.at
            self._forget(whom, whose)
        else:
            self.ties.pop((whose, kind, whom), None)

    # -- what it means ------------------------------------------------------------------------------------------------

    def is_private(self, user_id: int) -> bool:
        """Whether the person is private, as far as was read."""
        changes = self.privacy.get(user_id, ())
        return changes[-1][0] if changes else False

    def _mean_pair(self, event: Followed | Unfollowed | FollowRequested | FollowRejected | FollowerRemoved) -> None:
        a, b = pair = event.follower_id, event.followee_id
        followed, asked = self._forget(a, b)
        if isinstance(event, FollowRejected) and followed:
            self.meant.add(pair)  # there was nothing to reject
        if not isinstance(event, Followed | FollowRequested) or {(b, 1, a), (b, 2, a)} & self.ties.keys():
            return
        approval = isinstance(event, Followed) and event.actor_id == b
        if approval and not (followed or asked):
            return  # nobody asks any more: it was withdrawn meanwhile
        if approval or followed or not self.is_private(b):
            self.meant.add(pair)
        else:
            self.asking.setdefault(b, set()).add(a)

    def _forget(self, a: int, b: int) -> tuple[bool, bool]:
        """Whether a followed b, or asked to, until now."""
        followed, asked = (a, b) in self.meant, a in self.asking.get(b, ())
        self.meant.discard((a, b))
        self.asking.get(b, set()).discard(a)
        return followed, asked

    def owed(self) -> Iterator[tuple[str, str]]:
        """(who, why) for every pair that the log leaves in another state than it means."""
        said = {(a, b): "follows" for a, followees in self.following.items() for b in followees}
        for pair in self.requests:
            said.setdefault(pair, "asks")
        meant = dict.fromkeys(self.meant, "follows")
        meant |= {(a, b): "asks" for b, askers in self.asking.items() for a in askers}
        for pair in said.keys() | meant.keys():
            if said.get(pair) != meant.get(pair):
                words = said.get(pair, "nothing"), meant.get(pair, "nothing")
                yield f"{pair[0]} and {pair[1]}", f"the log says {words[0]}, and means {words[1]}"
