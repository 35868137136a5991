from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    Event,
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    NotificationsSeen,
    Notified,
    Source,
    UploadFailed,
)
from streams.notifications import DAY_MS, NOTIFICATIONS, group_of
from streams.views import View
from tests.streams.laws import at_leisure, check_laws, log_of
from tests.streams.memory_tables import MemoryTables

SOURCE = Source(topic="engagement", partition=0, offset=0, n=0)
PEOPLE = st.integers(1, 3)


def notice(stands: bool, recipient: int, actor: int, kind: str, target: int, comment: int, at: int) -> Event:
    made = Notified if stands else NoticeWithdrawn
    rest: Any = {"kind": kind, "target": target, "post": target, "comment": comment}
    return made(event_id=1, at=at, actor_id=actor, recipient_id=recipient, source=SOURCE, **rest)


def failed(recipient: int, media: int, at: int) -> Event:
    rest: Any = {"media_id": media, "post_id": 0, "code": "c", "reason": "r"}
    return UploadFailed(event_id=1, at=at, actor_id=recipient, recipient_id=recipient, source=SOURCE, **rest)


def seen(viewer: int, position: int) -> Event:
    return NotificationsSeen(event_id=1, at=1, actor_id=viewer, viewer_id=viewer, position=position)


def wishes(person: int, silenced: list[str]) -> Event:
    base: Any = {"event_id": 1, "at": 1, "actor_id": person, "recipient_id": person}
    return NotificationPreferencesChanged(**base, silenced=silenced, unpushed=["tag"])


times = st.integers(0, 3).map(lambda n: n * DAY_MS // 2)
kinds = st.sampled_from(["like", "comment", "reply"])
histories = st.lists(
    st.one_of(
        st.builds(notice, st.booleans(), PEOPLE, st.integers(1, 4), kinds, st.integers(0, 2), st.integers(0, 1), times),
        st.builds(failed, PEOPLE, st.integers(1, 3), times),
        st.builds(seen, PEOPLE, st.integers(0, 5)),
        st.builds(wishes, PEOPLE, st.lists(st.sampled_from(["like", "comment"]), unique=True)),
    ),
    max_size=25,
)


def read(tables: MemoryTables) -> dict[str, Any]:
    """What a reader makes of the rows, by the plainest way: all groups in order, with all their causes in order."""
    causes: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for row in tables.rows("notification_causes"):
        causes[row["recipient_id"], row["group_id"]].append((row["position"], row["actor_id"], row["comment"]))
    recents = {(r["group_id"], r["position"], r["actor_id"]) for r in tables.rows("notification_recents")}
    days = {(r["recipient_id"], r["group_id"], r["day"], r["position"]) for r in tables.rows("notification_days")}
    told = []
    for row in tables.rows("notification_groups"):
        key = row["recipient_id"], row["group_id"]
        assert (*key, row["at"] // DAY_MS, row["position"]) in days, "it is found where it was last told of"
        assert all((row["group_id"], position, actor) in recents for position, actor, _ in causes[key])
        if causes[key]:
            told.append((*key, row["kind"], row["target"], row["at"], row["position"], sorted(causes[key])))
    return {
        "told": sorted(told),
        "seen": {
            person: max(r["position"] for r in tables.rows("notification_seen") if r["recipient_id"] == person)
            for person in {row["recipient_id"] for row in tables.rows("notification_seen")}
        },
        "silenced": {r["recipient_id"]: r["silenced"] for r in tables.rows("notification_preferences")},
    }


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """A group is what stands of it; what was seen only grows; the last wish counts."""
    standing: dict[tuple[int, str, int], dict[tuple[int, int], int]] = defaultdict(dict)
    last: dict[tuple[int, str, int], tuple[int, int]] = {}
    marks: dict[int, int] = {}
    silenced: dict[int, list[str]] = {}
    for records in log_of(events).values():
        for _, offset, _, event in records:
            match event:
                case Notified(recipient_id=person, kind=kind, target=target):
                    standing[person, kind, target][event.actor_id, event.comment] = offset
                    last[person, kind, target] = (event.at, offset)
                case NoticeWithdrawn(recipient_id=person, kind="reply", target=target, comment=0):
                    standing[person, "reply", target].clear()
                case NoticeWithdrawn(recipient_id=person, kind=kind, target=target):
                    standing[person, kind, target].pop((event.actor_id, event.comment), None)
                case UploadFailed(recipient_id=person, media_id=media):
                    standing[person, "upload_failed", media][person, 0] = offset
                    last[person, "upload_failed", media] = (event.at, offset)
                case NotificationsSeen(viewer_id=person):
                    marks[person] = max(event.position, marks.get(person, -1))
                case NotificationPreferencesChanged(recipient_id=person):
                    silenced[person] = sorted(event.silenced)
    told = [
        (person, group_of(person, kind, target), kind, target, *last[person, kind, target], causes)
        for (person, kind, target), by in standing.items()
        if (causes := sorted((position, actor, comment) for (actor, comment), position in by.items()))
    ]
    expected = {"told": sorted(told), "seen": marks, "silenced": silenced}
    view: View[Any] = NOTIFICATIONS
    check_laws(view, events, rng, read, expected)


def test_groups_have_ids_of_their_own() -> None:
    subjects = [(person, kind, target) for person in (1, 11) for kind in ("like", "tag") for target in (1, 11)]
    assert len({group_of(*subject) for subject in subjects}) == len(subjects)
    assert all(0 <= group_of(*subject) < 2**63 for subject in subjects)
