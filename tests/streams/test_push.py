"""What may be pushed at all."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import NoticeWithdrawn, NotificationPreferencesChanged, Notified, Source, UploadFailed
from streams.notifications import group_of
from streams.push import WINDOW_MS, may_follow, project
from streams.records import Record, TopicPartition

TP = TopicPartition("notifications", 3)
WHO: dict[str, Any] = {
    "event_id": 1,
    "at": 5,
    "actor_id": 7,
    "recipient_id": 9,
    "source": Source("engagement", 1, 2, 0),
}
ABOUT: dict[str, Any] = {"kind": "reply", "target": 21, "post": 20, "comment": 22}


def test_notices_alone() -> None:
    failed = UploadFailed(**WHO, media_id=30, post_id=0, code="too-large", reason="It is too large.")
    events = [
        Notified(**WHO, **ABOUT),
        NoticeWithdrawn(**WHO, **ABOUT),
        NotificationPreferencesChanged(event_id=2, at=5, actor_id=9, recipient_id=9, silenced=[], unpushed=[]),
        failed,
    ]
    records = [Record(TP, n, 6, event) for n, event in enumerate(events)]
    pushes = project(records)
    assert [(one.mark.offset, one.kind, one.target, one.post, one.at) for one in pushes] == [
        (0, "reply", 21, 20, 5),
        (3, "upload_failed", 30, 0, 5),
    ]
    assert [one.group_id for one in pushes] == [group_of(9, "reply", 21), group_of(9, "upload_failed", 30)]
    assert [one for record in records for one in project([record])] == pushes  # wherever a batch ends


@pytest.mark.parametrize(("after", "may"), [(-WINDOW_MS, False), (0, False), (WINDOW_MS - 1, False), (WINDOW_MS, True)])
def test_the_window(after: int, may: bool) -> None:
    assert may_follow(1_000_000_000 + after, 1_000_000_000) is may
