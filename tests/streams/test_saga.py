"""The saga brings what the log says to what people meant, whatever passed what on its way."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.verify_fold import Fold
from jobs.verify_owed import entailments
from schemas.events import (
    Blocked,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    PostLiked,
    PostUnliked,
    PrivacyChanged,
    Unblocked,
    Unfollowed,
)
from sinks.emitter import MemoryCommits
from sinks.errors import StoreAway
from sinks.saga import SagaSink
from streams.records import Span
from streams.saga import SAGA
from tests.streams.laws import at_leisure
from tests.streams.saga_memory import Log, MemoryInMemory

STAR, FAN, OTHER = 1, 2, 3
AT = 1_780_000_000_000
BASE: dict[str, Any] = {"event_id": 1, "at": AT}


def pair(kind: Any, follower: int = FAN, followee: int = STAR, *, by: int | None = None, **more: bool) -> Event:
    made: Event = kind(**BASE, actor_id=by or follower, follower_id=follower, followee_id=followee, **more)
    return made


def privacy(private: bool, user: int = STAR) -> Event:
    return PrivacyChanged(**BASE, actor_id=user, user_id=user, private=private)


def block(kind: Any, one: int = STAR, other: int = FAN) -> list[Event]:
    return [kind(**BASE, actor_id=one, user_id=user, blocker_id=one, blocked_id=other) for user in (one, other)]


def like(kind: Any, user: int = FAN, author: int = STAR, post: int = 100) -> Event:
    made: Event = kind(**BASE, actor_id=user, post_id=post, author_id=author)
    return made


ASKS_THOUGH_FOLLOWING = pair(FollowRequested, follows=True)
"""Whether or not they do."""


class World:
    """A log, the saga over it, and a saga that may end at any await."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.log, self.memory, self.commits = Log(), MemoryInMemory(), MemoryCommits()
        self.rng = rng

    def say(self, *events: Event) -> None:
        for event in events:
            self.log.append(event)

    async def run(self, most: int = 1000) -> bool:
        """Apply one batch of what is not committed; whether there was any."""
        batch, spans = [], {}
        for tp, records in self.log.records.items():
            done = self.commits.offsets.get(tp, -1)
            count = self.rng.randint(0, most) if self.rng else most
            if some := records[done + 1 : done + 1 + count]:
                batch += some
                spans[tp] = Span(done, some[-1].offset)
        producer, memory = self.log, self.memory
        if self.rng and self.rng.random() < 0.3:
            memory = _Ending(self.memory, self.rng)  # type: ignore[assignment]
        try:
            await SagaSink(memory, producer, self.commits).apply(SAGA.project(batch), spans)
        except StoreAway:
            return True
        return any(self.commits.offsets.get(tp, -1) < records[-1].offset for tp, records in self.log.records.items())

    async def settle(self) -> None:
        for _ in range(10_000):
            if not await self.run(3 if self.rng else 1000):
                return
        raise AssertionError("the saga never ends")

    def fold(self) -> Fold:
        fold = Fold()
        for records in self.log.records.values():
            for record in records:
                fold.take(record.event)
        return fold

    def state(self, follower: int = FAN, followee: int = STAR) -> str:
        graph = self.fold().graph
        if followee in graph.following.get(follower, {}):
            return "follows"
        return "asks" if (follower, followee) in graph.requests else "none"


class _Ending:
    """A memory whose worker ends at one of its calls."""

    def __init__(self, memory: MemoryInMemory, rng: random.Random) -> None:
        self._memory, self._left = memory, rng.randint(0, 4)

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._memory, name)

        async def ending(*given: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise StoreAway("the worker ends")
            return await call(*given)

        return ending


def after(*events: Event) -> World:
    world = World()
    world.say(*events)
    asyncio.run(world.settle())
    assert entailments(world.fold()).wrong == []
    return world


def test_going_public_approves_what_waits() -> None:
    world = after(privacy(True), pair(FollowRequested), pair(FollowRequested, OTHER), pair(Unfollowed, OTHER))
    assert (world.state(), world.state(OTHER)) == ("asks", "none")
    world.say(privacy(False))
    asyncio.run(world.settle())
    assert (world.state(), world.state(OTHER)) == ("follows", "none")


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([pair(Followed), privacy(True)], "follows"),
        ([privacy(True), pair(Followed)], "asks"),
        ([privacy(True), pair(FollowRequested), pair(Followed, by=STAR)], "follows"),
        ([privacy(True), pair(FollowRequested), pair(Unfollowed), pair(Followed, by=STAR)], "none"),
        ([privacy(True), pair(FollowRequested), pair(FollowRejected, by=STAR)], "none"),
        ([privacy(True), pair(FollowRequested), privacy(False), pair(FollowRequested, by=FAN)], "follows"),
        ([pair(FollowRequested)], "follows"),
        ([pair(Followed), *block(Blocked), pair(Followed)], "none"),
        ([*block(Blocked, FAN, STAR), pair(Followed), *block(Unblocked, FAN, STAR)], "none"),
        ([*block(Blocked), *block(Unblocked), pair(Followed)], "follows"),
        ([privacy(True), pair(Followed), pair(FollowerRemoved, by=STAR), privacy(False)], "none"),
        # Who follows since before they went private asks once more: nothing changes, whoever knew what.
        ([pair(Followed), privacy(True), pair(FollowRequested), pair(FollowRejected, by=STAR)], "follows"),
        ([pair(Followed), privacy(True), ASKS_THOUGH_FOLLOWING, pair(FollowRejected, by=STAR)], "follows"),
        ([pair(Followed), privacy(True), pair(Followed)], "follows"),
        ([pair(Followed), privacy(True), pair(FollowRequested), pair(Unfollowed)], "none"),
        ([pair(Followed), pair(Unfollowed), privacy(True), ASKS_THOUGH_FOLLOWING], "asks"),
        ([pair(Followed), privacy(True), pair(FollowerRemoved, by=STAR), ASKS_THOUGH_FOLLOWING], "asks"),
        ([pair(Followed), pair(Unfollowed), privacy(True), privacy(False), ASKS_THOUGH_FOLLOWING], "follows"),
    ],
)
def test_what_crossed_is_settled(events: list[Event], state: str) -> None:
    assert after(*events).state() == state


def test_who_follows_and_asks_once_more_is_no_request_and_not_let_in_anew() -> None:
    for again, said in ((pair(FollowRequested), [FollowRejected]), (ASKS_THOUGH_FOLLOWING, [])):
        world = after(pair(Followed), privacy(True), again)
        (records,) = world.log.records.values()
        assert [type(record.event) for record in records[3:]] == said
        assert {(one.kind, one.recipient, one.actor) for one in world.fold().told.asked} == {("follow", STAR, FAN)}
        assert not world.fold().graph.requests


def test_who_ceased_to_follow_and_asks_is_told_of() -> None:
    """Though the gateway did not know yet that they ceased."""
    world = after(pair(Followed), privacy(True), pair(Unfollowed), ASKS_THOUGH_FOLLOWING)
    assert {(one.kind, one.recipient, one.actor) for one in world.fold().told.asked} == {("request", STAR, FAN)}


def test_what_the_saga_says_and_a_person_overtook_is_said_anew() -> None:
    world = World()
    world.say(privacy(True), pair(FollowRequested), privacy(False))
    held = Log()
    asyncio.run(SagaSink(world.memory, held, world.commits).apply(*whole(world)))
    world.say(pair(Unfollowed))
    for records in held.records.values():
        world.say(*(record.event for record in records))
    assert world.state() == "follows", "the approval comes behind the word that it crossed"
    asyncio.run(world.settle())
    assert world.state() == "none"


def test_a_request_that_is_granted_at_once_can_be_overtaken_too() -> None:
    """Of a pair of public people nothing else would be remembered."""
    world = World()
    world.say(pair(FollowRequested))
    held = Log()
    asyncio.run(SagaSink(world.memory, held, world.commits).apply(*whole(world)))
    world.say(pair(FollowerRemoved, by=STAR))
    for records in held.records.values():
        world.say(*(record.event for record in records))
    assert world.state() == "follows", "the approval comes behind the word that it crossed"
    asyncio.run(world.settle())
    assert world.state() == "none"


def whole(world: World) -> Any:
    records = [record for records in world.log.records.values() for record in records]
    return SAGA.project(records), {tp: Span(-1, of[-1].offset) for tp, of in world.log.records.items()}


def test_likes_between_the_blocked_are_taken_back_both_ways() -> None:
    likes = [like(PostLiked), like(PostLiked, STAR, FAN, 200), like(PostLiked, OTHER)]
    for events in ([*likes, *block(Blocked)], [*block(Blocked), *likes]):
        world = after(*events)
        assert world.fold().likes == {100: {OTHER: AT}, 200: {}}
        world.say(*block(Unblocked), like(PostLiked))
        asyncio.run(world.settle())
        assert set(world.fold().likes[100]) == {OTHER, FAN}
    assert after(like(PostLiked), like(PostUnliked), *block(Blocked)).fold().likes == {100: {}}


people = st.sampled_from([STAR, FAN, OTHER])
couples = st.tuples(people, people).filter(lambda two: two[0] != two[1])
histories = st.lists(
    st.one_of(
        st.builds(
            lambda kind, two: [pair(kind, *two)], st.sampled_from([Followed, FollowRequested, Unfollowed]), couples
        ),
        st.builds(lambda two, follows: [pair(FollowRequested, *two, follows=follows)], couples, st.booleans()),
        st.builds(
            lambda kind, two: [pair(kind, *two, by=two[1])],
            st.sampled_from([FollowerRemoved, FollowRejected]),
            couples,
        ),
        # Nobody approves who never was asked: the gateway does not let them.
        st.builds(
            lambda two: [privacy(True, two[1]), pair(FollowRequested, *two), pair(Followed, *two, by=two[1])], couples
        ),
        st.builds(lambda user, private: [privacy(private, user)], people, st.booleans()),
        st.builds(lambda kind, two: block(kind, *two), st.sampled_from([Blocked, Unblocked]), couples),
        st.builds(
            lambda kind, two: [like(kind, two[0], two[1], 100 + two[1])],
            st.sampled_from([PostLiked, PostUnliked]),
            couples,
        ),
    ),
    max_size=25,
)


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_the_log_comes_to_say_what_was_meant(history: list[list[Event]], rng: random.Random) -> None:
    """Whenever the saga runs between them, in whatever batches, and wherever it ends and begins again."""

    async def live() -> World:
        world = World(rng)
        for events in history:
            world.say(*events)
            if rng.random() < 0.4:
                await world.run(4)
        await world.settle()
        return world

    world = asyncio.run(live())
    wrong = entailments(world.fold()).wrong
    assert wrong == [], [record.event for records in world.log.records.values() for record in records]
