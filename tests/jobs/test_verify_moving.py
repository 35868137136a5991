"""What the log spoke of during a comparison is not called wrong, and nothing else is let off."""

from __future__ import annotations

from collections.abc import Hashable

from jobs.verify_differences import Differences
from jobs.verify_moving import Touched, settled
from schemas.events import PostLiked
from schemas.ids import MIN_ID
from streams.records import TopicPartition

POST, OTHER, LIKER, AUTHOR = (MIN_ID + n for n in range(4))


def touched() -> Touched:
    found = Touched()
    found.take(PostLiked(event_id=OTHER, at=1, actor_id=LIKER, post_id=POST, author_id=AUTHOR), 7)
    return found


def test_only_what_was_spoken_of_is_moving() -> None:
    subjects: dict[Hashable, str] = {
        ("likes", POST, "count"): "it moves",
        ("likes_1", (POST, AUTHOR + 9)): "so does what hangs on it",
        ("likes", OTHER, "count"): "an event's own id is nobody's subject",
        ("late", TopicPartition("posts", 3)): "a view that stands still",
    }
    left = settled(Differences(9, dict(subjects), notes={"floors": 2}), touched())
    assert list(left.found) == [("likes", OTHER, "count"), ("late", TopicPartition("posts", 3))]
    assert (left.checked, left.total, left.notes) == (9, 2, {"floors": 2, "moving": 2})


def test_a_quiet_log_lets_nothing_off() -> None:
    wrong = Differences(9, {("likes", POST, "count"): "wrong"})
    assert settled(wrong, Touched()) == wrong
