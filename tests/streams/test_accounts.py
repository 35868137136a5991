from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    Followed,
    ProfileChanged,
    RoleChanged,
    UsernameChanged,
)
from streams.accounts import ACCOUNTS, ROLES, project
from streams.views import Refused
from tests.streams.laws import at_leisure, check_laws, log_of
from tests.streams.memory_tables import MemoryTables
from tests.streams.post_events import picture

sealed = st.binary(max_size=3)
people = st.integers(1, 4)


def said(kind: type[Event], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    def made(user_id: int, at: int, rest: dict[str, Any]) -> Event:
        return kind(**{"event_id": 1, "at": at, "actor_id": user_id, "user_id": user_id} | rest)

    return st.builds(made, people, st.integers(0, 100), st.fixed_dictionaries(fields))


pictures = st.sampled_from([[], [picture(20)], [picture(30)]])
events = st.one_of(
    said(AccountRegistered, username=sealed, name=sealed),
    said(ProfileChanged, name=sealed, bio=sealed, links=sealed, picture=pictures),
    said(UsernameChanged, username=sealed, previous=sealed),
    said(AccountDeactivated),
    said(AccountReactivated),
    said(RoleChanged, role=st.sampled_from(ROLES)),
    said(BadgeChanged, verified=st.booleans()),
    said(AccountErased),
)


def read(tables: MemoryTables) -> dict[int, dict[str, Any]]:
    rows = tables.rows("accounts")
    for row in rows:
        if "picture" in row:
            row["picture"] = json.loads(row["picture"])
    return {row.pop("user_id"): row for row in rows}


@at_leisure
@given(st.lists(events, max_size=25), st.randoms(use_true_random=False))
def test_laws(history: list[Event], rng: random.Random) -> None:
    expected: dict[int, dict[str, Any]] = {}
    for event in history:
        row = expected.setdefault(event.user_id, {})  # type: ignore[attr-defined]
        match event:
            case AccountRegistered():
                row |= {"username": event.username, "name": event.name, "registered_at": event.at}
            case ProfileChanged():
                row |= {"name": event.name, "bio": event.bio, "links": event.links}
                row["picture"] = msgspec.to_builtins(event.picture)
            case UsernameChanged():
                row["username"] = event.username
            case AccountDeactivated():
                row["deactivated"] = True
            case AccountReactivated():
                row["deactivated"] = False
            case RoleChanged():
                row["role"] = event.role
            case BadgeChanged():
                row["verified"] = event.verified
            case AccountErased():
                row.clear()
                row["erased"] = True
    check_laws(ACCOUNTS, history, rng, read, expected)


def test_other_events_are_passed_over() -> None:
    followed = Followed(event_id=1, at=1, actor_id=1, follower_id=1, followee_id=2)
    assert project([record for records in log_of([followed]).values() for record in records]) == []


def test_a_role_that_nobody_knows_is_refused() -> None:
    changed = RoleChanged(event_id=1, at=1, actor_id=1, user_id=1, role="owner")
    with pytest.raises(Refused, match="moderator"):
        project([record for records in log_of([changed]).values() for record in records])
