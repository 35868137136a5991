from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, PostEdited, PostSubmitted
from streams.tagged_posts import TAGGED_POSTS, names_of
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables
from tests.streams.post_events import author_of, post_events


def read(tables: MemoryTables) -> set[tuple[str, int, int]]:
    return {(row["name"], row["post_id"], row["author_id"]) for row in tables.rows("tagged_posts")}


@at_leisure
@given(st.lists(post_events, max_size=30), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """All that a post ever named."""
    expected = {
        (name, event.post_id, author_of(event.post_id))
        for event in events
        if isinstance(event, PostSubmitted | PostEdited)
        for name in (*(f"t:{tag}" for tag in event.hashtags), f"l:{event.place}")
    }
    check_laws(TAGGED_POSTS, events, rng, read, expected)


def test_a_name_stands_once_and_no_place_is_none() -> None:
    assert names_of(["a", "b", "a"], "") == ("t:a", "t:b")
    assert names_of([], "a") == ("l:a",)
