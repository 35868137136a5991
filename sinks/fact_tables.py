"""The tables of facts, made from the Avro schemas: one for each topic, with a column for each field of its events.

One table a topic and not one an event, since a partition's rows then stand in one table: an insert of them is one
block, all or nothing, and the highest offset among them is the fence. Columns that an event does not have take next
to no room, as the rows are sorted by event. For each event there is a view with its own columns only, and one view
for the topic.

Sealed fields are left out: analysts have no keys, and what was erased in Cassandra shall not stand here. Nested
records become columns named after the path to them; in a list of records, lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from schemas.declared import Schema, declared, subject
from schemas.events import EVENTS, TOPICS
from streams.facts import Fact

Getter = Callable[[Any], Any]

SCALARS: Mapping[str, tuple[str, Any]] = {
    "long": ("Int64", 0),
    "int": ("Int32", 0),
    "boolean": ("Bool", False),
    "double": ("Float64", 0.0),
    "float": ("Float32", 0.0),
    "string": ("String", ""),
}
TIME = "DateTime64(3, 'UTC')"
OWNERS: Mapping[str, str] = {
    "graph": "followee_id",
    "posts": "author_id",
    "engagement": "author_id",
    "stories": "author_id",
    "activity": "author_id",
}
"""By whom a table is sorted, after the event: the person whose numbers are asked for."""
PEOPLE: Mapping[str, tuple[str, ...]] = {"graph": ("follower_id",)}
"""Who else has to be there for a row to be shown: who was let in by whom they follow did not say so themselves."""
DEDUPLICATION_WINDOW = 10_000
"""Blocks whose tokens a table remembers."""


class Column(NamedTuple):
    """``default`` is what rows of other events hold."""

    name: str
    type: str
    default: Any


META = (
    Column("_event", "LowCardinality(String)", ""),
    Column("_partition", "UInt16", 0),
    Column("_offset", "Int64", 0),
    Column("_at", TIME, 0),
)
"""Which event a row is, where it stands in the log, and the broker's time of it."""


@dataclass(frozen=True)
class FactTable:
    """The table of one topic: its columns without ``META``, and how each event's fields become them."""

    topic: str
    columns: tuple[Column, ...]
    getters: Mapping[str, Mapping[str, Getter]]
    """Event → column → what gives its value."""

    def name(self, generation: int) -> str:
        """In one generation."""
        return f"{self.topic}_{generation}"

    def block(self, facts: Sequence[Fact]) -> tuple[list[Column], list[list[Any]]]:
        """The columns that ``facts`` (of this topic) have, and their values."""
        events = [fact.event for fact in facts]
        kinds = [type(event).__name__ for event in events]
        present = dict.fromkeys(kinds)
        head: list[list[Any]] = [
            kinds,
            [fact.mark.tp.partition for fact in facts],
            [fact.mark.offset for fact in facts],
            [fact.timestamp for fact in facts],
        ]
        used = [column for column in self.columns if any(column.name in self.getters[kind] for kind in present)]
        if len(present) == 1:
            (only,) = (self.getters[kind] for kind in present)
            return [*META, *used], [*head, *(list(map(only[column.name], events)) for column in used)]
        return [*META, *used], [*head, *(self._mixed(column, kinds, events) for column in used)]

    def _mixed(self, column: Column, kinds: Sequence[str], events: Sequence[Any]) -> list[Any]:
        default = column.default
        of = {kind: getters.get(column.name) for kind, getters in self.getters.items()}
        return [default if (get := of[kind]) is None else get(event) for kind, event in zip(kinds, events, strict=True)]

    def ddl(self, generation: int) -> str:
        """Makes the table, where it is not there yet."""
        columns = ", ".join(definition(column) for column in (*META, *self.columns))
        owner = f"{OWNERS[self.topic]}, " if self.topic in OWNERS else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name(generation)} ({columns}, "
            f"_topic LowCardinality(String) DEFAULT '{self.topic}', "
            "PROJECTION fences (SELECT _partition, max(_offset), max(_at), count() GROUP BY _partition)) "
            f"ENGINE = MergeTree PARTITION BY toYYYYMM(_at) ORDER BY (_event, {owner}_partition, _offset) "
            f"SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
        )

    def views(self, generation: int) -> Iterator[tuple[str, str]]:
        """(name, SELECT) of what analysts read: the topic's, and one for each of its events. Without what the erased
        did, and what was done with what was theirs."""
        table, meta = self.name(generation), ", ".join(("_topic", *(column.name for column in META)))
        owner = OWNERS.get(self.topic, "actor_id")
        shown = stands(generation, *dict.fromkeys(("actor_id", owner, *PEOPLE.get(self.topic, ()))))
        yield self.topic, f"SELECT * FROM {table} WHERE {shown}"  # noqa: S608 (names of ours)
        for event, getters in self.getters.items():
            own = ", ".join(column.name for column in self.columns if column.name in getters)
            yield view_name(event), f"SELECT {meta}, {own} FROM {table} WHERE _event = '{event}' AND {shown}"  # noqa: S608


def stands(generation: int, *people: str) -> str:
    """The condition that nobody in these columns was erased."""
    erased = f"(SELECT user_id FROM accounts_{generation} WHERE _event = 'AccountErased')"  # noqa: S608 (a number)
    return " AND ".join(f"{person} NOT IN {erased}" for person in people)


def view_name(event: str) -> str:
    """``PostLiked`` → ``post_liked``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", event).lower()


def definition(column: Column) -> str:
    """A column in DDL."""
    codec = "Delta, ZSTD(1)" if column.type in (TIME, "Int64") else "ZSTD(1)"
    return f"{column.name} {column.type} CODEC({codec})"


@cache
def fact_tables() -> Mapping[str, FactTable]:
    """Every topic's table. Raises ValueError where two events of a topic use one name for two types."""
    return {topic: _table(topic) for topic in TOPICS}


def _table(topic: str) -> FactTable:
    columns: dict[str, Column] = {}
    getters: dict[str, dict[str, Getter]] = {}
    schemas = declared()
    for event in EVENTS:
        if topic != event.TOPIC:
            continue
        records: dict[str, Schema] = {}
        getters[event.__name__] = {}
        for column, get in _fields(schemas[subject(topic, event.__name__)], records, "", _itself):
            known = columns.setdefault(column.name, column)
            if known != column:
                raise ValueError(f"{topic}: {column.name} of {event.__name__} is {column.type}, elsewhere {known.type}")
            getters[event.__name__][column.name] = get
    return FactTable(topic, tuple(columns.values()), getters)


def _fields(record: Schema, records: dict[str, Schema], prefix: str, reach: Getter) -> Iterator[tuple[Column, Getter]]:
    """The columns of ``record``, and how to get each from the event; ``reach`` gets the record from it."""
    records[record["name"]] = record
    for field in record["fields"]:
        yield from _typed(field["type"], records, prefix + field["name"], _chained(reach, attrgetter(field["name"])))


def _typed(schema: Schema, records: dict[str, Schema], name: str, get: Getter) -> Iterator[tuple[Column, Getter]]:
    if isinstance(schema, str) and schema in records:
        schema = records[schema]
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "bytes":
        return
    if isinstance(schema, dict) and schema.get("logicalType") == "timestamp-millis":
        yield Column(name, TIME, 0), get
    elif kind == "record":
        yield from _fields(schema, records, f"{name}_", get)
    elif kind == "array":
        for column, inner in _typed(schema["items"], records, name, _itself):
            yield Column(column.name, f"Array({column.type})", []), _each(get, inner)
    elif kind in SCALARS:
        yield Column(name, *SCALARS[kind]), get
    else:
        raise ValueError(f"{name}: there is no column type for {schema!r} yet")


def _itself(event: Any) -> Any:
    return event


def _chained(first: Getter, then: Getter) -> Getter:
    return then if first is _itself else lambda event: then(first(event))


def _each(get: Getter, inner: Getter) -> Getter:
    return get if inner is _itself else lambda event: [inner(item) for item in get(event)]
