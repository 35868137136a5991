from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import PostLiked, PostUnliked
from streams.likes import LIKES
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables

AUTHOR = 1


def event(kind: type[PostLiked] | type[PostUnliked], post: int, user: int, at: int) -> PostLiked | PostUnliked:
    return kind(event_id=1, at=at, actor_id=user, post_id=post, author_id=AUTHOR)


histories = st.lists(
    st.builds(
        event, st.sampled_from([PostLiked, PostUnliked]), st.integers(1, 4), st.integers(1, 4), st.integers(0, 9)
    ),
    max_size=25,
)


def read(tables: MemoryTables) -> dict[tuple[int, int], int]:
    return {(row["post_id"], row["user_id"]): row["liked_at"] for row in tables.rows("likes")}


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[PostLiked | PostUnliked], rng: random.Random) -> None:
    """The last in the log wins, whatever the clocks of gateways said; one's own posts are as good as any."""
    expected: dict[tuple[int, int], int] = {}
    for one in events:
        pair = (one.post_id, one.actor_id)
        expected.pop(pair, None)
        if isinstance(one, PostLiked):
            expected[pair] = one.at
    check_laws(LIKES, events, rng, read, expected)
