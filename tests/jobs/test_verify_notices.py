"""The fold of notices in `verify` against the emitter and its view, over a world that edits, deletes and replies."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pytest

from jobs.verify_notices import NoticeFold, Subject
from jobs.world import Plan
from jobs.world_doings import doings
from schemas.events import (
    CommentDeleted,
    Event,
    NoticeWithdrawn,
    Notified,
    PostEdited,
    PostPublished,
    PostSubmitted,
    Source,
)
from streams.notices import project
from streams.notifications import NOTIFICATIONS, group_of
from streams.records import Record, TopicPartition
from tests.jobs.test_world import world_of
from tests.streams.memory_tables import MemoryTables

TP = TopicPartition("notifications", 0)


@pytest.fixture(scope="module")
def world() -> list[Event]:
    """What people do, and every post published where it was asked for."""
    said: list[Event] = []
    for step in doings(world_of(Plan(seed=5, events=20_000, posts=2_000, whole_way=5))):
        if not isinstance(step, Event):
            continue
        said.append(step)
        if isinstance(step, PostSubmitted):
            names: dict[str, Any] = {"mentions": step.mentions, "tagged": step.tagged}
            who: dict[str, Any] = {"post_id": step.post_id, "author_id": step.author_id, "actor_id": step.author_id}
            source = Source("media", 0, 0, 0)
            said.append(PostPublished(event_id=step.event_id, at=step.at, media=[], source=source, **who, **names))
    return said


def notices_of(world: list[Event]) -> list[Notified | NoticeWithdrawn]:
    places: Counter[str] = Counter()
    records = []
    for event in world:
        places[event.TOPIC] += 1
        records.append(Record(TopicPartition(event.TOPIC, 0), places[event.TOPIC], event.at, event))
    return [one.event for one in project(records)]


def fold_of(world: list[Event], notices: list[Notified | NoticeWithdrawn]) -> NoticeFold:
    fold = NoticeFold()
    for offset, event in enumerate([*world, *notices]):
        fold.take(event, offset)
    return fold


def test_what_people_did_is_what_was_said_and_what_stands(world: list[Event]) -> None:
    edits = [one for one in world if isinstance(one, PostEdited)]
    deletions = [one for one in world if isinstance(one, CommentDeleted)]
    assert any(one.newly_tagged for one in edits) and any(one.unmentioned for one in edits)
    assert any(one.replied for one in deletions) and any(one.mentions for one in deletions)
    notices = notices_of(world)
    fold = fold_of(world, notices)
    assert fold.unpaid() == []
    tables = MemoryTables()
    tables.apply(NOTIFICATIONS.project([Record(TP, n, one.at, one) for n, one in enumerate(notices, len(world))]))
    rows = {
        (row["group_id"], row["recipient_id"], row["actor_id"], row["comment"], row["position"])
        for row in tables.rows("notification_causes")
    }
    assert rows == {
        (group_of(*one.group), one.recipient, one.actor, one.comment, said.position)
        for one, said in fold.standing.items()
    }


def test_every_notice_that_is_missing_is_found(world: list[Event]) -> None:
    notices = notices_of(world)
    last: dict[Subject, int] = {}
    by_kind: dict[tuple[str, type[Event]], list[int]] = defaultdict(list)
    for n, one in enumerate(notices):
        last[Subject(one.recipient_id, one.kind, one.target, one.actor_id, one.comment)] = n
    for subject, n in last.items():
        if subject.kind in ("mention", "tag", "reply") and (subject.kind != "reply" or subject.comment):
            by_kind[subject.kind, type(notices[n])].append(n)
    assert {kind for kind, made in by_kind if made is Notified} == {"mention", "tag", "reply"}
    told = set[Subject]()
    for n, one in enumerate(notices):
        subject = Subject(one.recipient_id, one.kind, one.target, one.actor_id, one.comment)
        if isinstance(one, Notified):
            told.add(subject)
        elif subject not in told and n in by_kind[one.kind, NoticeWithdrawn]:
            by_kind[one.kind, NoticeWithdrawn].remove(n)  # it undid nothing
    for (kind, made), places in by_kind.items():
        if places:
            without = notices[: places[-1]] + notices[places[-1] + 1 :]
            assert len(fold_of(world, without).unpaid()) == 1, (kind, made)
