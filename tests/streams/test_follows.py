from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, Followed, FollowRejected, FollowRequested, Unfollowed
from streams.follows import FOLLOWS, project
from streams.records import Record
from streams.views import Refused
from tests.streams.laws import at_leisure, check_laws, log_of
from tests.streams.memory_tables import MemoryTables

Pairs = set[tuple[int, int]]


def event(
    kind: type[Followed | Unfollowed | FollowRequested | FollowRejected], pair: tuple[int, int], at: int = 1
) -> Event:
    return kind(event_id=1, at=at, actor_id=pair[0], follower_id=pair[0], followee_id=pair[1])


pairs = st.tuples(st.integers(1, 4), st.integers(1, 4)).filter(lambda pair: pair[0] != pair[1])
histories = st.lists(st.builds(event, st.sampled_from([Followed, Unfollowed]), pairs, st.integers(0, 9)), max_size=25)


def read(tables: MemoryTables) -> tuple[Pairs, Pairs]:
    followers, following = (
        {(row["follower_id"], row["followee_id"]) for row in tables.rows(table)} for table in ("followers", "following")
    )
    return followers, following


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[Followed | Unfollowed], rng: random.Random) -> None:
    """The last in the log wins, whatever the clocks of gateways said."""
    expected: Pairs = set()
    for one in events:
        pair = (one.follower_id, one.followee_id)
        expected = expected | {pair} if isinstance(one, Followed) else expected - {pair}
    check_laws(FOLLOWS, events, rng, read, (expected, expected))


kinds = st.sampled_from([Followed, Unfollowed, FollowRequested, FollowRejected])


@at_leisure
@given(st.lists(st.builds(event, kinds, pairs, st.integers(0, 9)), max_size=25), st.randoms(use_true_random=False))
def test_a_request_and_its_rejection_change_nothing_for_who_follows(
    events: list[Followed | Unfollowed | FollowRequested | FollowRejected], rng: random.Random
) -> None:
    expected: Pairs = set()
    asked: Pairs = set()
    for one in events:
        pair = (one.follower_id, one.followee_id)
        match one:
            case Followed():
                expected = expected | {pair}
            case FollowRequested():
                asked = asked | {pair}
            case FollowRejected():
                asked = asked - {pair}
            case _:
                expected, asked = expected - {pair}, asked - {pair}
    check_laws(FOLLOWS, events, rng, read_all, (expected, expected, asked, asked))


def read_all(tables: MemoryTables) -> tuple[Pairs, Pairs, Pairs, Pairs]:
    requests, requested = (
        {(row["follower_id"], row["followee_id"]) for row in tables.rows(table)} for table in ("requests", "requested")
    )
    return *read(tables), requests, requested


def test_a_request_of_who_is_known_to_follow_is_for_the_saga_alone() -> None:
    known = FollowRequested(event_id=1, at=1, actor_id=1, follower_id=1, followee_id=2, follows=True)
    assert project(flat([known])) == []


@at_leisure
@given(histories, pairs)
def test_follow_unfollow_follow_equals_follow(events: list[Event], pair: tuple[int, int]) -> None:
    follow, unfollow = event(Followed, pair), event(Unfollowed, pair)
    once, thrice = MemoryTables(), MemoryTables()
    for tables, more in ((once, [follow]), (thrice, [follow, unfollow, follow])):
        tables.apply(project(flat([*events, *more])))
    assert read(once) == read(thrice)


def test_the_laws_need_write_times() -> None:
    """A zombie that applies an old batch last brings an old follow back, unless rows know their place in the log."""
    old, new = flat([event(Followed, (1, 2)), event(Unfollowed, (1, 2))])
    found = []
    for tables in (MemoryTables(), MemoryTables(without=frozenset({"timestamps"}))):
        for batch in ([old], [new], [old]):
            tables.apply(project(batch))
        found.append(read(tables)[0])
    assert found == [set(), {(1, 2)}]


@pytest.mark.parametrize("kind", [Followed, Unfollowed])
def test_nobody_follows_themselves(kind: type[Followed] | type[Unfollowed]) -> None:
    with pytest.raises(Refused, match="person 3 cannot follow themselves"):
        project(flat([event(kind, (3, 3))]))


def flat(events: list[Event]) -> list[Record]:
    return [record for records in log_of(events).values() for record in records]
