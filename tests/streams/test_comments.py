from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
    Event,
    PostLiked,
)
from streams.comments import COMMENTS, project
from streams.records import Record, TopicPartition
from tests.streams.laws import at_leisure, check_laws
from tests.streams.memory_tables import MemoryTables

AUTHOR = 1


def about(post: int, user: int = 2, at: int = 1) -> dict[str, Any]:
    return {"event_id": 1, "at": at, "actor_id": user, "post_id": post, "author_id": AUTHOR}


def added(post: int, number: int, user: int, at: int, text: bytes) -> CommentAdded:
    parent = 10 * post if number > 2 else 0
    return CommentAdded(**about(post, user, at), comment_id=10 * post + number, parent_id=parent, text=text)


def deleted(post: int, number: int, commenter: int) -> CommentDeleted:
    parent = 10 * post if number > 2 else 0
    comment = 10 * post + number
    return CommentDeleted(**about(post, AUTHOR), comment_id=comment, parent_id=parent, commenter_id=commenter)


def pin(kind: type[CommentPinned] | type[CommentUnpinned], post: int, number: int, at: int) -> Event:
    return kind(**about(post, AUTHOR, at), comment_id=10 * post + number)


def switch(kind: type[CommentsDisabled] | type[CommentsEnabled], post: int) -> Event:
    return kind(**about(post, AUTHOR))


posts, numbers = st.integers(1, 3), st.integers(0, 4)
histories = st.lists(
    st.builds(added, posts, numbers, st.integers(2, 4), st.integers(0, 9), st.binary(min_size=1, max_size=2))
    | st.builds(deleted, posts, numbers, st.integers(2, 4))
    | st.builds(pin, st.sampled_from([CommentPinned, CommentUnpinned]), posts, numbers, st.integers(0, 9))
    | st.builds(switch, st.sampled_from([CommentsDisabled, CommentsEnabled]), posts),
    max_size=25,
)


def read(tables: MemoryTables) -> dict[str, Any]:
    """What a reader gets: the comments that stand, with their text, what is pinned, what is switched off."""
    rows = tables.rows("comments")
    return {
        "stand": {row["comment_id"]: (row["text"], row["user_id"]) for row in rows if not row.get("deleted")},
        "places": {row["comment_id"]: row["parent_id"] for row in tables.rows("comment_places")},
        "pins": {(row["post_id"], row["comment_id"]): row["pinned_at"] for row in tables.rows("comment_pins")},
        "disabled": {row["post_id"] for row in tables.rows("comment_switches") if row["disabled"]},
    }


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """Deletion is final, whatever comes first; of pins and switches the last in the log wins."""
    gone = {event.comment_id for event in events if isinstance(event, CommentDeleted)}
    stand: dict[int, tuple[bytes, int]] = {}
    places: dict[int, int] = {}
    pins: dict[tuple[int, int], int] = {}
    disabled: set[int] = set()
    for event in events:
        match event:
            case CommentAdded() | CommentDeleted():
                places[event.comment_id] = event.parent_id
                if isinstance(event, CommentAdded) and event.comment_id not in gone:
                    stand[event.comment_id] = (event.text, event.actor_id)
            case CommentPinned() | CommentUnpinned():
                pins.pop((event.post_id, event.comment_id), None)
                if isinstance(event, CommentPinned):
                    pins[event.post_id, event.comment_id] = event.at
            case CommentsDisabled() | CommentsEnabled():
                (disabled.add if isinstance(event, CommentsDisabled) else disabled.discard)(event.post_id)
    check_laws(COMMENTS, events, rng, read, {"stand": stand, "places": places, "pins": pins, "disabled": disabled})


def test_likes_are_no_comments() -> None:
    tp = TopicPartition("engagement", 0)
    assert project([Record(tp, 0, 1, PostLiked(**about(1)))]) == []
