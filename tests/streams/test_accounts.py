from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import AccountRegistered, Event, Followed, ProfileChanged
from streams.accounts import ACCOUNTS, project
from tests.streams.laws import at_leisure, check_laws, log_of
from tests.streams.memory_tables import MemoryTables

people = st.integers(1, 4)
sealed = st.binary(max_size=3)
times = st.integers(0, 100)
registrations = st.builds(
    AccountRegistered, event_id=st.just(1), at=times, actor_id=people, user_id=people, username=sealed, name=sealed
)
changes = st.builds(
    ProfileChanged, event_id=st.just(1), at=times, actor_id=people, user_id=people, name=sealed, bio=sealed
)


def read(tables: MemoryTables) -> dict[int, dict[str, Any]]:
    return {row.pop("user_id"): row for row in tables.rows("accounts")}


@at_leisure
@given(st.lists(st.one_of(registrations, changes), max_size=20), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    expected: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, AccountRegistered):
            said = {"username": event.username, "name": event.name, "registered_at": event.at}
            expected.setdefault(event.user_id, {}).update(said)
        if isinstance(event, ProfileChanged):
            expected.setdefault(event.user_id, {}).update(name=event.name, bio=event.bio)
    check_laws(ACCOUNTS, events, rng, read, expected)


def test_other_events_are_passed_over() -> None:
    followed = Followed(event_id=1, at=1, actor_id=1, follower_id=1, followee_id=2)
    assert project([record for records in log_of([followed]).values() for record in records]) == []
