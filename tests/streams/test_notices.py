from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    NoticeWithdrawn,
    Notified,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostUnliked,
    Source,
    StoryDeleted,
    StoryReacted,
    StoryReactionWithdrawn,
    StoryViewed,
    Unfollowed,
)
from schemas.ids import snowflake
from streams.notices import project, renaming
from streams.notifications import NOTIFICATIONS, named
from streams.records import Record, TopicPartition
from tests.streams.memory_tables import MemoryTables

ADA, BOB, CAM, DAN, POST, PARENT, COMMENT = (snowflake(1_700_000_000_000, 1, n) for n in range(7))
AT = 1_700_000_000_123
Named = tuple[list[int], list[int]]
"""The mentions and tags of a post."""


def said(event: Event) -> list[Notified | NoticeWithdrawn]:
    return [notice.event for notice in project([Record(TopicPartition(event.TOPIC, 3), 17, AT, event)])]


def short(event: Event) -> set[tuple[bool, int, int, str, int, int, int]]:
    """(stands, to whom, who, kind, target, post, comment)"""
    return {
        (isinstance(one, Notified), one.recipient_id, one.actor_id, one.kind, one.target, one.post, one.comment)
        for one in said(event)
    }


def by(actor: int, **rest: Any) -> dict[str, Any]:
    return {"event_id": POST, "at": 5, "actor_id": actor, **rest}


FROM_BOB = by(BOB, follower_id=BOB, followee_id=ADA)
FROM_ADA = by(ADA, follower_id=BOB, followee_id=ADA)
FOLLOW = (ADA, BOB, "follow", 0, 0, 0)
REQUEST = (ADA, BOB, "request", 0, 0, 0)
APPROVAL = (BOB, ADA, "approval", 0, 0, 0)
LIKE = (ADA, BOB, "like", POST, POST, 0)
REACTION = (ADA, BOB, "story_reaction", POST, 0, 0)
CASES: list[tuple[Event, set[tuple[Any, ...]]]] = [
    (PostLiked(**by(BOB, post_id=POST, author_id=ADA)), {(True, *LIKE)}),
    (PostUnliked(**by(BOB, post_id=POST, author_id=ADA)), {(False, *LIKE)}),
    (PostLiked(**by(ADA, post_id=POST, author_id=ADA)), set()),
    (PostUnliked(**by(ADA, post_id=POST, author_id=ADA)), set()),
    (PostDeleted(**by(ADA, post_id=POST, author_id=ADA)), set()),
    (StoryReacted(**by(BOB, story_id=POST, author_id=ADA, reaction="🔥")), {(True, *REACTION)}),
    (StoryReactionWithdrawn(**by(BOB, story_id=POST, author_id=ADA)), {(False, *REACTION)}),
    (StoryReacted(**by(ADA, story_id=POST, author_id=ADA, reaction="🔥")), set()),
    (StoryViewed(**by(BOB, story_id=POST, author_id=ADA)), set()),
    (StoryDeleted(**by(ADA, story_id=POST, author_id=ADA)), set()),
    (Followed(**FROM_BOB), {(True, *FOLLOW)}),
    (Followed(**FROM_ADA), {(False, *REQUEST), (True, *APPROVAL)}),
    (Followed(**FROM_BOB, source="graph-0-1-0"), {(False, *REQUEST), (True, *APPROVAL)}),
    (FollowRequested(**FROM_BOB), {(True, *REQUEST)}),
    (FollowRequested(**FROM_BOB, follows=True), set()),
    (FollowRejected(**FROM_ADA), {(False, *REQUEST)}),
    (FollowerRemoved(**FROM_ADA), {(False, *FOLLOW), (False, *REQUEST), (False, *APPROVAL)}),
    (Unfollowed(**FROM_BOB), {(False, *FOLLOW), (False, *REQUEST), (False, *APPROVAL)}),
]


@pytest.mark.parametrize(("event", "expected"), CASES)
def test_who_is_told_of_what(event: Event, expected: set[tuple[Any, ...]]) -> None:
    assert short(event) == expected


def comment(actor: int, **more: Any) -> CommentAdded:
    return CommentAdded(**by(actor, comment_id=COMMENT, post_id=POST, author_id=ADA, text=b"t", **more))


def test_a_comment_is_told_once_to_each() -> None:
    assert short(comment(BOB)) == {(True, ADA, BOB, "comment", POST, POST, COMMENT)}
    assert short(comment(ADA)) == set()
    assert short(comment(BOB, mentions=[CAM, ADA, BOB, CAM])) == {
        (True, ADA, BOB, "comment", POST, POST, COMMENT),
        (True, CAM, BOB, "mention", POST, POST, COMMENT),
    }
    assert short(comment(BOB, parent_id=PARENT, parent_author_id=CAM, mentions=[CAM, DAN])) == {
        (True, ADA, BOB, "comment", POST, POST, COMMENT),
        (True, CAM, BOB, "reply", PARENT, POST, COMMENT),
        (True, DAN, BOB, "mention", POST, POST, COMMENT),
    }
    assert short(comment(BOB, parent_id=PARENT, parent_author_id=ADA)) == {
        (True, ADA, BOB, "reply", PARENT, POST, COMMENT)
    }
    gone = CommentDeleted(**by(ADA, comment_id=COMMENT, post_id=POST, author_id=ADA, commenter_id=BOB))
    assert short(gone) == {(False, ADA, BOB, "comment", POST, POST, COMMENT)}


def test_a_deleted_comment_takes_back_what_hung_on_it() -> None:
    where: dict[str, Any] = {"post_id": POST, "author_id": ADA, "comment_id": COMMENT}
    reply = CommentDeleted(
        **by(ADA, **where, commenter_id=BOB, parent_id=PARENT, parent_author_id=CAM, mentions=[DAN, BOB])
    )
    assert short(reply) == {
        (False, ADA, BOB, "comment", POST, POST, COMMENT),
        (False, CAM, BOB, "reply", PARENT, POST, COMMENT),
        (False, DAN, BOB, "mention", POST, POST, COMMENT),
    }
    # Who deletes what they wrote themselves hears on their other devices that the replies are gone.
    whole = CommentDeleted(**by(BOB, **where, commenter_id=BOB, replied=True))
    assert short(whole) == {
        (False, ADA, BOB, "comment", POST, POST, COMMENT),
        (False, BOB, BOB, "reply", COMMENT, POST, 0),
    }


def test_a_post_tells_those_who_are_in_it() -> None:
    source = Source(topic="media", partition=0, offset=1, n=0)
    more = {"mentions": [BOB, CAM, ADA], "tagged": [CAM, DAN]}
    post = PostPublished(**by(ADA, post_id=POST, author_id=ADA, media=[], source=source, **more))
    assert short(post) == {
        (True, BOB, ADA, "mention", POST, POST, 0),
        (True, CAM, ADA, "tag", POST, POST, 0),
        (True, DAN, ADA, "tag", POST, POST, 0),
    }


def edited(before: Named, now: Named) -> PostEdited:
    people = {"mentions": list(now[0]), "tagged": list(now[1])}
    changed = renaming(named(*before), named(*now))._asdict()
    return PostEdited(**by(ADA, post_id=POST, author_id=ADA, caption=b"c", **people, **changed))


def test_an_edit_tells_whom_it_names_anew_and_withdraws_the_others() -> None:
    assert short(edited(([BOB, CAM], [DAN]), ([CAM, ADA], [DAN, BOB]))) == {
        (False, BOB, ADA, "mention", POST, POST, 0),
        (True, BOB, ADA, "tag", POST, POST, 0),
    }
    assert short(edited(([BOB, DAN], [DAN]), ([DAN], []))) == {
        (False, BOB, ADA, "mention", POST, POST, 0),
        (False, DAN, ADA, "tag", POST, POST, 0),
        (True, DAN, ADA, "mention", POST, POST, 0),
    }
    # One that was written before events said so tells nobody.
    assert (
        short(PostEdited(**by(ADA, post_id=POST, author_id=ADA, caption=b"c", mentions=[BOB], tagged=[CAM]))) == set()
    )


people = st.lists(st.sampled_from([BOB, CAM]), unique=True)


@given(st.lists(st.tuples(people, people), min_size=1, max_size=6), st.data())
def test_however_late_an_edit_knows_what_was_said_its_people_are_told(words: list[Named], data: st.DataObject) -> None:
    """Readers show what stands in the rows of whom the post names now. Whoever wrote an edit may have read any older
    word; whoever read the last one tells nobody twice."""
    late = data.draw(st.booleans())
    source = Source(topic="media", partition=0, offset=1, n=0)
    (mentions, tagged), *edits = words
    base = by(ADA, post_id=POST, author_id=ADA, mentions=mentions, tagged=tagged)
    events: list[Event] = [PostPublished(**base, media=[], source=source)]
    for n, now in enumerate(edits, start=1):
        events.append(edited(words[data.draw(st.integers(0, n - 1)) if late else n - 1], now))
    log = TopicPartition("posts", 0)
    notices = [one.event for one in project([Record(log, n, AT, event) for n, event in enumerate(events)])]
    for person in (BOB, CAM):
        mine = [one for one in notices if one.recipient_id == person]
        tables, tp = MemoryTables(), TopicPartition("notifications", 0)
        tables.apply(NOTIFICATIONS.project([Record(tp, n, AT, event) for n, event in enumerate(mine)]))
        groups = {row["group_id"]: row["kind"] for row in tables.rows("notification_groups")}
        told = {groups[row["group_id"]] for row in tables.rows("notification_causes")}
        said = [named(*word).get(person) for word in words]
        assert told >= {said[-1]} - {None}, "whom the post names was told so"
        if not late:
            turns = [(now, then) for then, now in zip([None, *said], said, strict=False) if now != then]
            assert [one.kind for one in mine if isinstance(one, Notified)] == [now for now, _ in turns if now]
            assert [one.kind for one in mine if isinstance(one, NoticeWithdrawn)] == [then for _, then in turns if then]


def test_what_is_said_names_its_record_and_is_the_same_each_time() -> None:
    event = Followed(**FROM_ADA, trace_id="ab" * 16)
    first, second = said(event)
    assert [one.source for one in (first, second)] == [Source("graph", 3, 17, n) for n in range(2)]
    assert {one.at for one in (first, second)} == {AT}
    assert {one.trace_id for one in (first, second)} == {"ab" * 16}
    assert first.event_id != second.event_id
    assert said(event) == [first, second]
