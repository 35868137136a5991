from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, Source, UploadFailed
from streams.notifications import NOTIFICATIONS, project
from tests.streams.laws import at_leisure, check_laws, log_of
from tests.streams.memory_tables import MemoryTables


def failed(media_id: int, at: int = 1, offset: int = 0, code: str = "too-large") -> UploadFailed:
    return UploadFailed(
        event_id=offset,
        at=at,
        actor_id=media_id % 3,
        recipient_id=media_id % 3,
        media_id=media_id,
        post_id=0,
        code=code,
        reason=f"Because: {code}",
        source=Source(topic="media", partition=0, offset=offset, n=1),
    )


def read(tables: MemoryTables) -> dict[tuple[int, int], dict[str, Any]]:
    return {(row.pop("recipient_id"), row.pop("notification_id")): row for row in tables.rows("notifications")}


notices = st.builds(failed, st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.sampled_from(["a", "b"]))


@at_leisure
@given(st.lists(notices, max_size=20), st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    expected: dict[tuple[int, int], dict[str, Any]] = {}
    for event in events:
        assert isinstance(event, UploadFailed)
        expected[event.recipient_id, event.media_id] = {
            "kind": "upload_failed",
            "at": event.at,
            "media_id": event.media_id,
            "post_id": 0,
            "code": event.code,
            "reason": event.reason,
        }
    check_laws(NOTIFICATIONS, events, rng, read, expected)


def test_duplicates_of_a_notice_are_one() -> None:
    tables = MemoryTables()
    log = log_of([failed(4), failed(4, offset=3), failed(7)])
    tables.apply(project([record for records in log.values() for record in records]))
    assert {row["notification_id"] for row in tables.rows("notifications")} == {4, 7}
    assert len(tables.rows("notifications")) == 2
