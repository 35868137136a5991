"""``shutterlog bench pipeline --event comment|save|notice``: events into Cassandra by the real agent, beside a loop
written by hand.

The agents are ``python -m agents`` of ``comments``, ``saves`` or ``notifications``, measured over a prefilled topic
from the first move of their fences to the last. The yardstick is confluent-kafka, fastavro and Cassandra's driver: the
same rows in unlogged batches as large as the agents', all those of a batch of events in flight at once, without write
times, fences or a look at where the view stands.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import fastavro

from jobs.bench_by_hand import HEAD, body_of, consumed
from jobs.bench_scene import AT, Scene, compared, opened, rate_of
from schemas.declared import runtime, subject
from schemas.events import (
    CommentAdded,
    CommentDeleted,
    Event,
    NoticeWithdrawn,
    Notified,
    PostSaved,
    PostUnsaved,
    Source,
)
from schemas.ids import snowflake
from schemas.lock import locked
from sinks.cassandra import LOCAL_QUORUM, Cassandra
from sinks.cassandra_driver import open_session
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.tables import BATCH_ROWS, TableSink
from sinks.topics import Topics
from sinks.view_tables import TABLES, apply_ddl, table_name
from streams.notifications import COMMENT, DAY_MS, LIKE, group_of
from streams.records import TopicPartition

EVENTS = 60_000
PEOPLE, POSTS = 4_000, 5_000
UNDONE = 0.08
"""Of the events, those that undo an earlier one."""

Row = tuple[str, tuple[object, ...]]
"""CQL of one row, and its parameters."""
Body = Mapping[str, Any]


class Kind(NamedTuple):
    """One kind of event: which view takes it, from which topic, and how it is made and written by hand."""

    view: str
    topic: str
    unit: str
    made: Callable[[Making], Event]
    rows: Callable[[str, Body, int], Iterator[Row]]
    """Of an event by its name and fields; the number counts the events."""


class Making:
    """What events are made of; the popularity of posts is a power law."""

    def __init__(self, people: Sequence[int], posts: int) -> None:
        self.chance, self.people = random.Random(1), people  # noqa: S311
        self._posts = [snowflake(AT + 60_000 + n, 2, n % 4000) for n in range(posts)]
        self.said: list[Any] = []
        """What may be undone."""
        self._number = 0

    def base(self) -> dict[str, Any]:
        """Of a new event by somebody."""
        self._number += 1
        event_id = snowflake(AT + 120_000 + self._number // 4000, 3, self._number % 4000)
        return {"event_id": event_id, "at": AT, "actor_id": self.chance.choice(self.people)}

    def post(self) -> dict[str, Any]:
        """Some post, and its author."""
        number = int(len(self._posts) * self.chance.random() ** 3)
        return {"post_id": self._posts[number], "author_id": self.people[number % len(self.people)]}

    def undone(self) -> Any:
        """Now and then one that was said before; else None."""
        return self.chance.choice(self.said) if self.said and self.chance.random() < UNDONE else None


def _comment(making: Making) -> Event:
    base, before = making.base(), making.undone()
    if before is not None:
        base["actor_id"] = before.actor_id
        named = {"post_id": before.post_id, "author_id": before.author_id, "parent_id": before.parent_id}
        return CommentDeleted(**base, **named, comment_id=before.comment_id, commenter_id=before.actor_id)
    parent = making.chance.choice(making.said) if making.said and making.chance.random() < 0.3 else None
    post = making.post() if parent is None else {"post_id": parent.post_id, "author_id": parent.author_id}
    above = {"parent_id": parent.comment_id, "parent_author_id": parent.actor_id} if parent else {}
    event = CommentAdded(**base, **post, **above, comment_id=base["event_id"], text=bytes(60))
    if parent is None:
        making.said.append(event)
    return event


def _save(making: Making) -> Event:
    base, before = making.base(), making.undone()
    if before is not None:
        base["actor_id"] = before.actor_id
        return PostUnsaved(**base, post_id=before.post_id, author_id=before.author_id)
    into = snowflake(AT, 4, base["actor_id"] % 4000) if making.chance.random() < 0.3 else 0
    making.said.append(PostSaved(**base, **making.post(), collection_id=into))
    return making.said[-1]  # type: ignore[no-any-return]


def _notice(making: Making) -> Event:
    base, before, kind = making.base(), making.undone(), making.chance.choice((LIKE, LIKE, LIKE, COMMENT))
    source = Source(topic="engagement", partition=0, offset=base["event_id"] % 1_000_000, n=0)
    if before is not None:
        base["actor_id"] = before.actor_id
        named = {name: getattr(before, name) for name in ("recipient_id", "kind", "target", "post", "comment")}
        return NoticeWithdrawn(**base, **named, source=source)
    post = making.post()
    about: dict[str, Any] = {"target": post["post_id"], "post": post["post_id"]}
    about["comment"] = base["event_id"] if kind == COMMENT else 0
    making.said.append(Notified(**base, recipient_id=post["author_id"], kind=kind, **about, source=source))
    return making.said[-1]  # type: ignore[no-any-return]


def _comment_rows(name: str, e: Body, number: int) -> Iterator[Row]:
    key = {"post_id": e["post_id"], "parent_id": e["parent_id"], "comment_id": e["comment_id"]}
    added = name == "CommentAdded"
    columns = {"text": None, "mentions": None, "hashtags": None, "deleted": True}
    if added:
        columns = {"user_id": e["actor_id"], "text": e["text"], "commented_at": e["at"]}
        columns |= {"mentions": e["mentions"], "hashtags": e["hashtags"], "spam": e["spam"]}
    yield _insert("comments", key | columns)
    user = e["actor_id"] if added else e["commenter_id"]
    yield _insert("comment_places", key | {"author_id": e["author_id"], "user_id": user})


def _save_rows(name: str, e: Body, number: int) -> Iterator[Row]:
    key = {"user_id": e["actor_id"], "post_id": e["post_id"]}
    if name == "PostUnsaved":
        yield _delete("saves", key)
        return
    for collection in dict.fromkeys((0, e["collection_id"])):
        yield _insert("saves", key | {"collection_id": collection, "saved_at": e["at"]})


def _notice_rows(name: str, e: Body, number: int) -> Iterator[Row]:
    recipient, at = e["recipient_id"], e["at"]
    group = {"recipient_id": recipient, "group_id": group_of(recipient, e["kind"], e["target"])}
    who = {"actor_id": e["actor_id"], "comment": e["comment"]}
    if name == "NoticeWithdrawn":
        yield _delete("notification_causes", group | who)
        return
    when = {"position": number, "at": at}
    yield _insert("notification_causes", group | who | when)
    yield _insert("notification_recents", group | who | when)
    yield _insert("notification_groups", group | when | {name: e[name] for name in ("kind", "target", "post")})
    yield _insert("notification_days", group | {"day": at // DAY_MS, "position": number})


def _insert(table: str, values: Mapping[str, object]) -> Row:
    holes = ", ".join("?" * len(values))
    cql = f"INSERT INTO {table_name(table, 1)} ({', '.join(values)}) VALUES ({holes})"  # noqa: S608 (names of ours)
    return cql, tuple(values.values())


def _delete(table: str, key: Mapping[str, object]) -> Row:
    cql = f"DELETE FROM {table_name(table, 1)} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608
    return cql, tuple(key.values())


KINDS = {
    "comment": Kind("comments", "engagement", "CommentAdded and CommentDeleted", _comment, _comment_rows),
    "save": Kind("saves", "engagement", "PostSaved and PostUnsaved", _save, _save_rows),
    "notice": Kind("notifications", "notifications", "Notified and NoticeWithdrawn", _notice, _notice_rows),
}


def run(event: str, samples: int = 3, events: int = EVENTS) -> dict[str, object]:
    """Measure ``samples`` rounds, the agent and the yardstick in turn. ``figure`` and ``yardstick`` are events/s."""
    return asyncio.run(_run(event, samples, events))


async def _run(event: str, samples: int, events: int) -> dict[str, Any]:
    kind = KINDS[event]
    ours: list[float] = []
    theirs: list[float] = []
    own = Settings().model_copy(update={"cassandra_keyspace": f"bench_{uuid.uuid4().hex[:8]}"})
    async with opened(own, PEOPLE) as scene, _keyspace(scene.settings) as cassandra:
        await _fill(scene, kind, events)
        for _ in range(samples):
            ours.append(await _agent_rate(scene, cassandra, kind, events))
            await _forget(cassandra, kind)
            theirs.append(await asyncio.to_thread(drain, scene.settings, kind, events))
            await _forget(cassandra, kind)
    report = compared(event, kind.unit, "the same rows in unlogged batches", ours, theirs)
    return report | {"people": PEOPLE, "posts": POSTS, "events": events}


@asynccontextmanager
async def _keyspace(settings: Settings) -> AsyncIterator[Cassandra]:
    """The bench's own, removed afterwards."""
    async with await Cassandra.connect(settings, create_keyspace=True) as cassandra:
        try:
            await apply_ddl(cassandra)
            yield cassandra
        finally:
            await cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")


async def _fill(scene: Scene, kind: Kind, events: int) -> None:
    making = Making(scene.people, POSTS)
    async with Producer(scene.settings, timeout_seconds=60, linger_ms=20) as producer:
        for start in range(0, events, 5000):
            await producer.produce_many([kind.made(making) for _ in range(start, min(start + 5000, events))])


async def _forget(cassandra: Cassandra, kind: Kind) -> None:
    """Empty the view's tables, and take its fences back."""
    for name in (*(table_name(name, 1) for name, table in TABLES.items() if table.view == kind.view), "fences"):
        await cassandra.change_schema(f"TRUNCATE {name}")


async def _agent_rate(scene: Scene, cassandra: Cassandra, kind: Kind, events: int) -> float:
    """Events/s of the view's agent over the prefilled topic."""
    settings = scene.settings
    sink = TableSink(cassandra, kind.view, 1, await asyncio.to_thread(Topics(settings).ids))
    partitions = [TopicPartition(kind.topic, n) for n in range(settings.partitions)]

    async def applied() -> int:
        return sum(offset + 1 for offset in (await sink.fences(partitions)).values())

    async with scene.agent(kind.view) as agent:
        return await rate_of([agent], events, applied)


def drain(settings: Settings, kind: Kind, events: int) -> float:
    """Read ``events`` from the start of the topic into rows, by hand; events/s after the first batch."""
    schemas: dict[int, tuple[Any, str]] = {}
    for name in kind.unit.split(" and "):
        newest = locked().subjects[subject(kind.topic, name)][-1]
        schemas[newest.id] = fastavro.parse_schema(runtime(newest.schema)), name
    cluster, session, _ = open_session(settings, False, 30.0, LOCAL_QUORUM)
    prepared: dict[str, Any] = {}
    number = 0

    def sent(cql: str, values: Sequence[object]) -> Any:
        if cql not in prepared:
            prepared[cql] = session.prepare(cql)
        return session.execute_async(prepared[cql].bind(values))

    def take(values: Sequence[bytes]) -> None:
        nonlocal number
        rows: dict[str, list[tuple[object, ...]]] = {}
        for value in values:
            schema, name = schemas[int.from_bytes(value[1:HEAD], "big")]
            number += 1
            for cql, parameters in kind.rows(name, body_of(value, schema), number):
                rows.setdefault(cql, []).append(parameters)
        waiting = []
        for cql, some in rows.items():
            whole = len(some) - len(some) % BATCH_ROWS
            for start in range(0, whole, BATCH_ROWS):
                batch = f"BEGIN UNLOGGED BATCH {f'{cql}; ' * BATCH_ROWS}APPLY BATCH"
                waiting.append(sent(batch, [one for row in some[start : start + BATCH_ROWS] for one in row]))
            waiting += [sent(cql, row) for row in some[whole:]]
        for one in waiting:
            one.result()

    try:
        return consumed(settings, kind.topic, events, take)
    finally:
        cluster.shutdown()
