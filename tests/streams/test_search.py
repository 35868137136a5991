from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    Followed,
    FollowerRemoved,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostSubmitted,
    PrivacyChanged,
    ProfileChanged,
    Unfollowed,
    UsernameChanged,
)
from streams.records import Record, TopicPartition
from streams.search import (
    RANK_BITS,
    SEARCH,
    asked,
    distance_km,
    level,
    plain,
    rank,
    typos,
    words,
    words_of_a_person,
)
from streams.views import Refused
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables
from tests.streams.post_events import Kind, post_events

Rows = dict[str, dict[Any, dict[str, Any]]]
_OF_PEOPLE: dict[Kind, dict[str, Any]] = {
    AccountDeactivated: {},
    AccountReactivated: {},
    AccountErased: {},
}


def person_event(kind: Kind, user_id: int, word: str, flag: bool) -> Event:
    sealed = word.encode()
    varying: dict[Kind, dict[str, Any]] = _OF_PEOPLE | {
        AccountRegistered: {"username": sealed, "name": b"n"},
        ProfileChanged: {"name": sealed, "bio": b""},
        UsernameChanged: {"username": sealed, "previous": b""},
        BadgeChanged: {"verified": flag},
        PrivacyChanged: {"private": flag},
    }
    return kind(event_id=1, at=1, actor_id=user_id, user_id=user_id, **varying[kind])


def pair_event(kind: Kind, follower: int, followee: int) -> Event:
    return kind(event_id=1, at=1, actor_id=follower, follower_id=follower, followee_id=followee)


person_events = st.builds(
    person_event,
    st.sampled_from([AccountRegistered, ProfileChanged, UsernameChanged, BadgeChanged, PrivacyChanged, *_OF_PEOPLE]),
    st.integers(1, 4),
    st.sampled_from(["a", "b", "c"]),
    st.booleans(),
)
pair_events = st.builds(
    pair_event, st.sampled_from([Followed, Unfollowed, FollowerRemoved]), st.integers(5, 8), st.integers(1, 4)
)


def read(tables: MemoryTables) -> Rows:
    return {
        "people": {row.pop("user_id"): row for row in tables.rows("people")},
        "posts": {row.pop("post_id"): row for row in tables.rows("posts")},
        "followers": {(row["followee_id"], row["follower_id"]): {} for row in tables.rows("followers")},
    }


def folded(events: list[Event]) -> Rows:
    rows: Rows = {"people": {}, "posts": {}, "followers": {}}
    for event in events:
        match event:
            case Followed():
                rows["followers"][event.followee_id, event.follower_id] = {}
            case Unfollowed() | FollowerRemoved():
                rows["followers"].pop((event.followee_id, event.follower_id), None)
            case PostSubmitted() | PostEdited():
                said = {"caption": event.caption, "hashtags": event.hashtags, "place": event.place}
                rows["posts"].setdefault(event.post_id, {}).update(author_id=event.author_id, **said)
            case PostPublished():
                rows["posts"].setdefault(event.post_id, {}).update(author_id=event.author_id, published=True)
            case PostDeleted():
                rows["posts"].setdefault(event.post_id, {}).update(author_id=event.author_id, deleted=True)
            case AccountRegistered():
                rows["people"].setdefault(event.user_id, {}).update(username=event.username, name=event.name)
            case ProfileChanged():
                rows["people"].setdefault(event.user_id, {}).update(name=event.name)
            case UsernameChanged():
                rows["people"].setdefault(event.user_id, {}).update(username=event.username)
            case BadgeChanged():
                rows["people"].setdefault(event.user_id, {}).update(verified=event.verified)
            case PrivacyChanged():
                rows["people"].setdefault(event.user_id, {}).update(private=event.private)
            case AccountDeactivated():
                rows["people"].setdefault(event.user_id, {}).update(deactivated=True)
            case AccountReactivated():
                rows["people"].setdefault(event.user_id, {}).update(deactivated=False)
            case AccountErased():
                rows["people"].setdefault(event.user_id, {}).update(erased=True)
    return rows


@settings(at_leisure, max_examples=40)
@given(st.lists(st.one_of(person_events, pair_events, post_events), max_size=20), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    check_laws(SEARCH, events, rng, read, folded(events))


def test_nobody_follows_themselves() -> None:
    with pytest.raises(Refused):
        SEARCH.project([Record(TopicPartition("graph", 0), 1, 1, pair_event(Followed, 1, 1))])


def test_what_is_typed_is_compared_without_case_width_and_accents() -> None:
    assert plain("ÀÉÎ ｆｕｌｌ Straße") == "aei full strasse"
    assert words("Ein Hut, ein TUCH! 東京 3x", 10) == ["ein", "hut", "tuch", "東", "京", "3x"]
    assert words("a b c", 2) == ["a", "b"]
    assert words_of_a_person("anna.kalo_x", "Zoë  Ünger") == [
        *("anna.kalo_x", "annakalox", "anna", "kalo", "x", "zoe", "unger", "zoeunger"),
    ]
    assert asked("  @Anna.K  #Dusk ") == ["anna.k", "dusk"]
    assert asked("@ #") == [] and asked("Pat O'Neil.") == ["pat", "o", "neil"]
    assert [typos("a" * n) for n in (1, 3, 4, 7, 8, 20)] == [0, 0, 1, 1, 2, 2]


def test_ranks_are_ordered_by_level_and_never_equal_for_others() -> None:
    assert [level(n) for n in (0, 1, 3, 1000, 10**40)] == [0, 2, 4, 19, 255]
    ids = [(n << 22) + 5 for n in range(1, 20_000)]
    assert len({rank(3, one) for one in ids}) == len(ids)
    assert all(rank(3, one) >> RANK_BITS == 3 for one in ids[:100])
    assert rank(999, 2**63 - 1) < 2**63 >> 4


def test_distances_are_along_the_earth_and_across_the_date_line() -> None:
    assert distance_km(48.8566, 2.3522, 51.5074, -0.1278) == pytest.approx(344, abs=1)
    assert distance_km(0, 179.5, 0, -179.5) == pytest.approx(111.2, abs=0.1)
