"""Who is private, who may follow them, and who blocks and mutes whom while a simulated world runs.

Words cross each other, as they do between several gateways: a follow comes behind the change to private, an approval
behind the withdrawal, a like or a follow behind a block. The two copies of a block are two events apart.
"""

from __future__ import annotations

from random import Random
from typing import Any

from jobs.world import World
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

CROSSED_SHARE = 0.05
"""Follows of private people said as if they were public, and answers to requests that are no more."""
_REMEMBERED = 400

Pair = tuple[int, int]
"""(follower, followee), user ids."""


class Privacy:
    """What stands between people besides plain follows."""

    def __init__(self, world: World) -> None:
        self._world, self._random = world, world.random
        self._private: set[int] = set()
        self._asking: list[Pair] = []
        self._lately: list[Pair] = []
        """Pairs that a person changed lately, the stage of blocks, mutes and removals."""
        self._blocks: list[Pair] = []
        self._mutes: list[Pair] = []
        self._owed: tuple[type[Blocked | Unblocked], Pair] | None = None
        """The other copy of a block."""

    def relation(self, follower: int, followee: int, follows: bool) -> Event:
        """The follower begins, asks to, or ceases to follow."""
        pair = follower, followee
        _remember(self._lately, pair)
        if not follows:
            return self._said(Unfollowed, follower, *pair)
        if followee not in self._private:
            return self._said(Followed, follower, *pair)
        _remember(self._asking, pair)
        crossed = self._random.random() < CROSSED_SHARE
        return self._said(Followed if crossed else FollowRequested, follower, *pair)

    def event(self, kind: str) -> Event | None:
        """One event of ``kind``; None where nothing of it can be done yet."""
        match kind:
            case "privacy":
                return self._privacy()
            case "answer":
                return self._answer()
            case "block":
                return self._block()
            case _:
                return self._mute()

    def _privacy(self) -> Event:
        user = self._world.people[self._world.someone()]
        self._private ^= {user}
        return PrivacyChanged(**self._by(user), user_id=user, private=user in self._private)

    def _answer(self) -> Event | None:
        """A request is answered, now and then one that was withdrawn meanwhile; or a follower is shown out."""
        if self._random.random() < 0.2 or not self._asking:
            pair = _any(self._random, self._lately)
            return pair and self._said(FollowerRemoved, pair[1], *pair)
        place = self._random.randrange(len(self._asking))
        pair = self._asking[place]
        if self._random.random() >= CROSSED_SHARE:
            del self._asking[place]
        return self._said(Followed if self._random.random() < 0.7 else FollowRejected, pair[1], *pair)

    def _block(self) -> Event | None:
        if self._owed is not None:
            (owed, pair), self._owed = self._owed, None
            return self._copy(owed, pair, pair[1])
        if self._blocks and self._random.random() < 0.4:
            made: type[Blocked | Unblocked] = Unblocked
            pair = self._blocks.pop(self._random.randrange(len(self._blocks)))
        else:
            lately = _any(self._random, self._lately)
            if lately is None:
                return None
            made, pair = Blocked, lately if self._random.random() < 0.5 else (lately[1], lately[0])
            self._blocks.append(pair)
        self._owed = made, pair
        return self._copy(made, pair, pair[0])

    def _copy(self, made: type[Blocked | Unblocked], pair: Pair, user: int) -> Event:
        return made(**self._by(pair[0]), user_id=user, blocker_id=pair[0], blocked_id=pair[1])

    def _mute(self) -> Event | None:
        if self._mutes and self._random.random() < 0.4:
            muter, muted = self._mutes.pop(self._random.randrange(len(self._mutes)))
            return Unmuted(**self._by(muter), muter_id=muter, muted_id=muted)
        pair = _any(self._random, self._lately)
        if pair is None:
            return None
        self._mutes.append(pair)
        return Muted(**self._by(pair[0]), muter_id=pair[0], muted_id=pair[1])

    def _said(self, made: Any, actor: int, follower: int, followee: int) -> Event:
        event: Event = made(**self._by(actor), follower_id=follower, followee_id=followee)
        return event

    def _by(self, actor: int) -> dict[str, Any]:
        return {"event_id": self._world.ids.next(), "at": self._world.ids.at, "actor_id": actor}


def _any(random: Random, pairs: list[Pair]) -> Pair | None:
    return random.choice(pairs) if pairs else None


def _remember(pairs: list[Pair], pair: Pair) -> None:
    pairs.append(pair)
    if len(pairs) > _REMEMBERED:
        del pairs[0]
