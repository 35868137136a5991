"""Affinity: the laws of views, with forgetting and with two topics that pass each other; what counts; how it decays."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    CommentAdded,
    Event,
    Followed,
    FollowerRemoved,
    PostLiked,
    PostSaved,
    PostSeen,
    PostShared,
    PostUnliked,
    ProfileVisited,
    Unfollowed,
)
from streams.affinity import HALF_LIFE_STEPS, KEPT_STEPS, STEP_MS, AffinityWrite, Pair, Turned, affinity, project
from streams.records import Record, TopicPartition
from tests.streams.laws import at_leisure, deliveries, log_of

Pairs = dict[tuple[int, int], Pair]
WEIGHTS: dict[type[Event], int] = {
    **{PostSeen: 1, ProfileVisited: 2, PostLiked: 4, CommentAdded: 8, PostSaved: 12, PostShared: 16},
}
FOLLOWS = (Followed, Unfollowed, FollowerRemoved)


class MemoryAffinity:
    """Affinity in memory, in one bucket: what sinks/lua/affinity.lua does. ``forgets`` False keeps steps for ever."""

    def __init__(self, forgets: bool = True) -> None:
        self.pairs: Pairs = {}
        self._fences: dict[TopicPartition, int] = {}
        self._forgets = forgets

    def apply(self, writes: Sequence[AffinityWrite]) -> None:
        """Apply those of ``writes`` that are new."""
        before = dict(self._fences)
        for write in writes:
            tp, offset = write.mark
            if offset <= before.get(tp, -1):
                continue
            self._fences[tp] = max(offset, self._fences.get(tp, -1))
            name = write.viewer, write.author
            since, steps = self.pairs.get(name, Pair(0, {}))
            if isinstance(write, Turned):
                steps = {**steps, write.step: steps.get(write.step, 0) + write.weight}
                if self._forgets:
                    steps = {step: n for step, n in steps.items() if step > max(steps) - KEPT_STEPS}
            else:
                since = write.since
            self.pairs[name] = Pair(since, steps)

    def read(self) -> Pairs:
        """What is held of anybody."""
        return {name: pair for name, pair in self.pairs.items() if pair.since or pair.steps}


def doing(kind: type[Event], person: int, author: int, at: int) -> Event:
    base: dict[str, Any] = {"event_id": 1, "at": at, "actor_id": person}
    if kind in FOLLOWS:
        return kind(**base, follower_id=person, followee_id=author)
    if kind is ProfileVisited:
        return ProfileVisited(**base, viewer_id=person, profile_id=author)
    base |= {"post_id": author + 10, "author_id": author}
    if kind is PostSeen:
        return PostSeen(**base, viewer_id=person, dwell_ms=1500, surface="feed", rank=1)
    return CommentAdded(**base, comment_id=7, text=b"") if kind is CommentAdded else kind(**base)


def made(seed: int) -> list[Event]:
    """Up to 60 events, over steps that are forgotten and steps that are not."""
    chance = random.Random(seed)
    kinds: list[type[Event]] = [*WEIGHTS, *FOLLOWS]
    return [
        doing(
            chance.choice(kinds),
            *(chance.randrange(1, 4), chance.randrange(1, 4)),
            chance.choice([chance.randrange(200), chance.randrange(100, 110)]) * STEP_MS,
        )
        for _ in range(chance.randrange(60))
    ]


def folded(history: Sequence[Event]) -> Pairs:
    """What should be held, from the log alone."""
    turned: dict[tuple[int, int], list[tuple[int, int]]] = {}
    since: dict[tuple[int, int], int] = {}
    for event in history:
        if isinstance(event, FOLLOWS):
            since[event.follower_id, event.followee_id] = event.at if isinstance(event, Followed) else 0
        else:
            author = event.profile_id if isinstance(event, ProfileVisited) else event.author_id  # type: ignore[attr-defined]
            if author != event.actor_id:
                did = event.at // STEP_MS, WEIGHTS[type(event)]
                turned.setdefault((event.actor_id, author), []).append(did)
    found: Pairs = {}
    for name in turned.keys() | {name for name, at in since.items() if at}:
        some = turned.get(name, [])
        newest = max((step for step, _ in some), default=0)
        kept = {step for step, _ in some if step > newest - KEPT_STEPS}
        found[name] = Pair(since.get(name, 0), {step: sum(n for at, n in some if at == step) for step in kept})
    return found


def lived(history: Sequence[Event], rng: random.Random, forgets: bool = True) -> list[Pairs]:
    """What is held: rebuilt topic by topic either way round, then delivered in any way."""
    log = log_of(history)
    found = []
    for order in (sorted(log), sorted(log, reverse=True)):
        rebuilt = MemoryAffinity(forgets)
        for tp in order:
            rebuilt.apply(project(log[tp]))
        found.append(rebuilt.read())
    live = MemoryAffinity(forgets)
    for batch in deliveries(log, rng):
        live.apply(project(batch))
    return [*found, live.read()]


@at_leisure
@given(st.integers(0, 2**32 - 1))
def test_laws(seed: int) -> None:
    history = made(seed)
    expected = folded(history)
    assert all(held == expected for held in lived(history, random.Random(seed)))


def test_the_laws_would_notice_that_nothing_is_forgotten() -> None:
    assert any(folded(made(seed)) not in lived(made(seed), random.Random(seed), forgets=False) for seed in range(50))


@pytest.mark.parametrize("kind", WEIGHTS)
def test_what_counts(kind: type[Event]) -> None:
    (write,) = project([Record(TopicPartition("x", 0), 5, 3 * STEP_MS, doing(kind, 1, 2, 9 * STEP_MS))])
    assert isinstance(write, Turned)
    assert (write.viewer, write.author, write.weight) == (1, 2, WEIGHTS[kind])
    assert write.step == 3, "a clock in the future brings nobody nearer"


def test_what_does_not_count() -> None:
    at = 3 * STEP_MS
    glance = PostSeen(
        event_id=1, at=at, actor_id=1, viewer_id=1, post_id=9, author_id=2, dwell_ms=999, surface="feed", rank=0
    )
    for event in (glance, doing(PostUnliked, 1, 2, at), doing(PostShared, 1, 1, at), doing(ProfileVisited, 1, 1, at)):
        assert project([Record(TopicPartition("x", 0), 5, at, event)]) == []


def test_a_half_life_halves_and_what_is_out_of_reach_or_to_come_counts_nothing() -> None:
    now = 200
    pair = Pair(0, {now: 8, now - HALF_LIFE_STEPS: 8, now + 1: 100, now - KEPT_STEPS: 100})
    assert affinity(pair, now * STEP_MS + 5) == 12
