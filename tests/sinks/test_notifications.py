"""What stands of a group, against a plain count, for small groups and for large ones."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

import pytest

from schemas.events import Event, NoticeWithdrawn, Notified, Source
from sinks import notifications
from sinks.cassandra import Cassandra
from sinks.notifications import NotificationReader
from sinks.tables import TableSink
from streams.notifications import DAY_MS, NOTIFICATIONS, group_of
from streams.records import Span
from tests.streams.laws import log_of

ME = 7
SOURCE = Source(topic="engagement", partition=0, offset=0, n=0)


def notice(stands: bool, actor: int, target: int, comment: int = 0, at: int = 5) -> Event:
    made, kind = Notified if stands else NoticeWithdrawn, "comment" if comment else "like"
    rest: Any = {"kind": kind, "target": target, "post": target, "comment": comment}
    return made(event_id=1, at=at, actor_id=actor, recipient_id=ME, source=SOURCE, **rest)


async def fill(cassandra: Cassandra, events: list[Event]) -> list[tuple[int, Any]]:
    """Apply ``events``; they come back with their positions."""
    sink = TableSink(cassandra, "notifications", 1, dict.fromkeys(NOTIFICATIONS.sources, "id"))
    ((tp, records),) = log_of(events).items()
    await sink.apply(NOTIFICATIONS.project(records), {tp: Span(-1, records[-1].offset)})
    return [(record.offset, record.event) for record in records]


@pytest.mark.parametrize("whole", [500, 3])
@pytest.mark.parametrize("comments", [False, True])
async def test_what_stands_is_counted_exactly(
    cassandra: Cassandra, monkeypatch: pytest.MonkeyPatch, whole: int, comments: bool
) -> None:
    monkeypatch.setattr(notifications, "WHOLE", whole)
    rng = random.Random(3)
    events = [
        notice(rng.random() < 0.6, rng.randint(1, 60), rng.randint(1, 4), rng.randint(1, 9) * comments)
        for _ in range(400)
    ]
    # Those who were the newest, more of them than are read at once, take it back.
    events += [notice(stands, 100 + n, 1, comments) for stands in (True, False) for n in range(45)]
    standing: dict[int, dict[tuple[int, int], int]] = {}
    for position, event in await fill(cassandra, events):
        of = standing.setdefault(event.target, {})
        if isinstance(event, Notified):
            of[event.actor_id, event.comment] = position
        else:
            of.pop((event.actor_id, event.comment), None)

    class Hearing:
        def __init__(self, hidden: Collection[int]) -> None:
            self.hidden = set(hidden)

        async def unwelcome(self, actors: Collection[int]) -> set[int]:
            return self.hidden.intersection(actors)

        async def standing_comments(self, comment_ids: Collection[int]) -> set[int]:
            return set(comment_ids)

        async def naming(self, post_ids: Collection[int]) -> dict[int, str]:
            return {}

        async def tied(self) -> set[int]:
            return self.hidden

    reader, kind = NotificationReader(cassandra), "comment" if comments else "like"
    for hidden in ((), range(10, 40), range(1, 200)):
        asked = {group_of(ME, kind, target): target for target in (1, 2, 3, 4, 5)}
        groups = {group_id: (kind, target) for group_id, target in asked.items()}
        found = await reader.standing(ME, groups, Hearing(hidden))
        for group_id, target in asked.items():
            newest = sorted(((at, who) for (who, _), at in standing.get(target, {}).items()), reverse=True)
            shown = [(at, who) for at, who in newest if who not in hidden]
            actors = list(dict.fromkeys(who for _, who in shown))
            one = found[group_id]
            assert (one.actors, one.total) == (actors[:3], len(actors)), (target, hidden)
            assert one.position == (shown[0][0] if shown else -1)


async def test_groups_come_newest_first_over_days(cassandra: Cassandra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_PAGE", 7)
    rng = random.Random(5)
    events = [notice(True, 1, rng.randint(1, 30), at=DAY_MS * rng.choice([1, 1, 1, 2, 4, n // 40])) for n in range(200)]
    last = {event.target: (event.at // DAY_MS, position) for position, event in await fill(cassandra, events)}
    expected = [
        group_of(ME, "like", target) for target, _ in sorted(last.items(), key=lambda one: one[1], reverse=True)
    ]
    reader = NotificationReader(cassandra)
    for limit in (1, 4, 100):
        found: list[int] = []
        before = (2**31, 0)
        while True:
            groups = await reader.groups(ME, before, limit)
            found += [group.group_id for group in groups]
            if len(groups) < limit:
                break
            before = groups[-1].place
        assert found == expected
    positions = sorted(position for _, position in last.values())
    assert await reader.last_position(ME) == positions[-1]
    assert {group.position for group in await reader.since(ME, positions[10])} == set(positions[11:])
    assert await reader.last_position(8) == -1
    assert await reader.groups(8, (2**31, 0), 5) == []
