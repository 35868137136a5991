from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, PostDeleted, PostPublished
from streams.user_posts import USER_POSTS
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables
from tests.streams.post_events import author_of, post_events

Posts = set[tuple[int, int]]


def read(tables: MemoryTables) -> Posts:
    rows = tables.rows("user_posts")
    return {(row["author_id"], row["post_id"]) for row in rows if row.get("published") and not row.get("deleted")}


@at_leisure
@given(st.lists(post_events, max_size=30), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """Published and never deleted, in whatever order."""
    published = {event.post_id for event in events if isinstance(event, PostPublished)}
    deleted = {event.post_id for event in events if isinstance(event, PostDeleted)}
    expected = {(author_of(post_id), post_id) for post_id in published - deleted}
    check_laws(USER_POSTS, events, rng, read, expected)
