from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, PostSeen
from streams.seen_posts import SEEN_MS, SEEN_POSTS
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables


def seeing(viewer: int, post: int, at: int) -> Event:
    return PostSeen(
        event_id=1, at=at, actor_id=viewer, viewer_id=viewer, post_id=post, author_id=9, dwell_ms=1, surface="", rank=0
    )


sights = st.builds(seeing, st.integers(1, 3), st.integers(1, 5), st.integers(1, 50))


def read(tables: MemoryTables) -> dict[tuple[int, int], tuple[int, int]]:
    rows = tables.rows("seen_posts")
    return {(row["viewer_id"], row["post_id"]): (row["seen_at"], row["expires_at"]) for row in rows}


@at_leisure
@given(st.lists(sights, max_size=30), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """The last sight in the log says until when."""
    expected = {
        (event.viewer_id, event.post_id): (event.at, event.at + SEEN_MS)
        for event in events
        if isinstance(event, PostSeen)
    }
    check_laws(SEEN_POSTS, events, rng, read, expected)
