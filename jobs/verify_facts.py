"""The facts in ClickHouse against the log: how many of each event in each partition, and a checksum of what they say.

A record's text is its event, its offset, the broker's time, and every field that is not sealed; its CRC-32 is added
up. Here the text is made from the event itself, in ClickHouse from the columns, and the two ways share nothing but
the fields' names.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from jobs.verify_differences import Differences
from schemas.events import EVENTS, Event
from sinks.clickhouse import ClickHouse
from streams.records import TopicPartition

Group = tuple[str, int, str]
"""Topic, partition, event."""
Sum = tuple[int, int]
"""How many, and their checksums added up."""


class FactFold:
    """What the log says, by group."""

    def __init__(self) -> None:
        self.groups: dict[Group, Sum] = {}
        self._paths = {event.__name__: [column.path for column in _columns(event)] for event in EVENTS}

    def take(self, tp: TopicPartition, offset: int, timestamp: int, event: Event) -> None:
        """One record; in any order."""
        name = type(event).__name__
        told = "|".join([name, str(offset), str(timestamp), *(_text(event, path) for path in self._paths[name])])
        count, checksum = self.groups.get((*tp, name), (0, 0))
        self.groups[(*tp, name)] = count + 1, checksum + zlib.crc32(told.encode())


async def compare(
    fold: FactFold, clickhouse: ClickHouse, generation: int, read: Mapping[TopicPartition, int]
) -> Differences:
    """Every group up to the offsets ``read``, at which the fold stands. Raises ``StoreAway``."""
    stored: dict[Group, Sum] = {}
    for event in EVENTS:
        name, topic = event.__name__, event.TOPIC
        ends = {tp.partition: end for tp, end in read.items() if tp.topic == topic}
        rows = await clickhouse.query(
            f"SELECT _partition, count(), sum(toUInt64(CRC32({_told(event)}))) FROM {topic}_{generation} "  # noqa: S608
            "WHERE _event = {event:String} AND "
            "_offset <= transform(_partition, {partitions:Array(UInt16)}, {ends:Array(Int64)}, -1) GROUP BY _partition",
            {"event": name, "partitions": list(ends), "ends": list(ends.values())},
        )
        stored |= {(topic, partition, name): (count, checksum) for partition, count, checksum in rows}
    return differences(fold.groups, stored)


def differences(wanted: Mapping[Group, Sum], found: Mapping[Group, Sum]) -> Differences:
    """What the log says and ClickHouse does not, and the other way round; ``checked`` are facts."""
    result = Differences(checked=sum(count for count, _ in wanted.values()))
    result.notes["rows"] = sum(count for count, _ in found.values())
    for group in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(group, (0, 0)), found.get(group, (0, 0))
        topic, partition, event = group
        subject: Hashable = ("facts", *group)
        if want[0] != have[0]:
            result.add(subject, f"{topic}-{partition}: {have[0]:,} rows of {event}, and the log has {want[0]:,}")
        elif want != have:
            result.add(subject, f"{topic}-{partition}: the {have[0]:,} rows of {event} do not say what the log says")
    return result


class _Column(NamedTuple):
    """``kind`` is the name of a Python type, with ``[]`` for each list around it; ``path`` leads to it from the
    event."""

    name: str
    path: tuple[str, ...]
    kind: str


_ROOT = _Column("", (), "")


def _columns(record: type, column: _Column = _ROOT) -> Iterator[_Column]:
    """Of each field of ``record`` that is not sealed; ``column`` is where ``record`` stands itself."""
    hints = get_type_hints(record)
    for field in msgspec.structs.fields(record):
        name, path = f"{column.name}{field.name}", (*column.path, field.name)
        hint, lists = hints[field.name], column.kind
        while get_origin(hint) is list:
            (hint,), lists = get_args(hint), lists + "[]"
        if issubclass(hint, msgspec.Struct):
            yield from _columns(hint, _Column(f"{name}_", path, lists))
        elif hint is not bytes:
            yield _Column(name, path, hint.__name__ + lists)


def _told(event: type[Event]) -> str:
    """The text of a row, in SQL."""
    own = (_sql(column.kind, column.name) for column in _columns(event))
    meta = ("_event", "toString(_offset)", "toString(toUnixTimestamp64Milli(_at))")
    return "concat(" + ", '|', ".join((*meta, *own)) + ")"


def _sql(kind: str, column: str) -> str:
    if kind.endswith("[]"):
        return f"concat('[', arrayStringConcat(arrayMap(x -> {_sql(kind[:-2], 'x')}, {column}), ','), ']')"
    if kind == "str":
        return column
    # Times are counted in milliseconds, truth in zeros and ones.
    return f"toString(reinterpretAsInt64({column}))" if kind == "int" else f"toString(toUInt8({column}))"


def _text(value: Any, path: tuple[str, ...]) -> str:
    if isinstance(value, list):
        return "[" + ",".join(_text(item, path) for item in value) + "]"
    if path:
        return _text(getattr(value, path[0]), path[1:])
    return str(int(value)) if isinstance(value, int) else str(value)
