"""``shutterlog tail``: the log's records as people read them, one a line, or as JSON lines for programs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_type_hints

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import Undecodable, decode
from schemas.events import EVENTS, TOPICS, Event
from schemas.readable import fields_of
from sinks.errors import StoreAway
from sinks.generations import TOPIC as GENERATIONS
from sinks.partitioning import partition_of
from sinks.producer import TopicMissing, failure
from sinks.settings import Settings
from sinks.topics import DLQ_SUFFIX

_ASK_SECONDS = 15.0
_POLL_SECONDS = 0.1
_STALLED_SECONDS = 30.0
_AT_ONCE = 1000
_SEALED = {event.__name__: {one for one, hint in get_type_hints(event).items() if hint is bytes} for event in EVENTS}
_FIELDS = {one for event in EVENTS for one in event.__struct_fields__}


class TailRefused(ValueError):
    """What was asked for makes no sense. The message says why."""


@dataclass(frozen=True)
class Wanted:
    """What to show. ``start`` and ``end`` are an offset, an ISO 8601 time, ``beginning`` or ``end``."""

    topic: str
    start: str = ""
    end: str = ""
    partition: int | None = None
    key: str | None = None
    types: Sequence[str] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    follow: bool = False
    limit: int | None = None
    """0 and more; None for all."""


def conditions(texts: Sequence[str]) -> dict[str, str]:
    """``FIELD=VALUE`` as a mapping. Raises ``TailRefused`` for fields that no event has."""
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise TailRefused(f"--where takes FIELD=VALUE, not {text!r}")
        if name.partition(".")[0] not in _FIELDS:
            raise TailRefused(f"no event has a field {name}; there are {', '.join(sorted(_FIELDS))}")
        found[name] = value
    return found


def tail(settings: Settings, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The records that are ``wanted``, each partition in its order, as ``--json`` prints them.

    Raises ``TailRefused``, ``StoreAway`` and ``TopicMissing``.
    """
    _refuse(settings, wanted)
    reading = _Reading(settings, wanted)
    shown = 0
    try:
        for message in reading.messages() if wanted.limit != 0 else ():
            line = _line(wanted.topic, message)
            if _is_wanted(wanted, message, line):
                yield line
                shown += 1
                if shown == wanted.limit:
                    return
    finally:
        reading.close()


def for_people(line: Mapping[str, Any]) -> str:
    """A record in one line; of sealed fields only how many bytes they have."""
    key = "" if line["key"] is None else line["key"]
    if "event" in line:
        fields: Any = {name: value for name, value in line["event"].items() if name != "at_ms"}
        for name in _SEALED.get(line["type"], ()):
            fields[name] = {"sealed": len(base64.b64decode(fields[name]))}
    else:
        fields = {name: line[name] for name in ("undecodable", "value") if name in line}
    fields |= {name: line[name] for name in ("headers", "dead") if name in line}
    content = json.dumps(fields, ensure_ascii=False)
    place = f"{line['topic']}-{line['partition']}@{line['offset']}"
    return f"{place} {line['timestamp']} {line['type'] or '-'} {key} {content}"


def _refuse(settings: Settings, wanted: Wanted) -> None:
    known = (*TOPICS, *(topic + DLQ_SUFFIX for topic in TOPICS), GENERATIONS)
    if wanted.topic not in known:
        raise TailRefused(f"there is no topic {wanted.topic!r}; there are {', '.join(known)}")
    partitions = _partitions(settings, wanted.topic)
    if wanted.partition is not None and not 0 <= wanted.partition < partitions:
        raise TailRefused(f"{wanted.topic} has the partitions 0 to {partitions - 1}")
    names = {event.__name__ for event in EVENTS}
    unknown = [name for name in wanted.types if name not in names]
    if unknown:
        raise TailRefused(f"there is no event {unknown[0]!r}; there are {', '.join(sorted(names))}")
    if wanted.follow and wanted.end:
        raise TailRefused("--follow goes on until it is stopped: leave out --to")
    if wanted.limit is not None and wanted.limit < 0:
        raise TailRefused("--limit takes 0 or more")


def _partitions(settings: Settings, topic: str) -> int:
    return 1 if topic == GENERATIONS else settings.partitions


class _Reading:
    def __init__(self, settings: Settings, wanted: Wanted) -> None:
        self._wanted = wanted
        self._topic = settings.topic(wanted.topic)
        numbers: Sequence[int] = range(_partitions(settings, wanted.topic))
        if wanted.partition is not None:
            numbers = [wanted.partition]
        elif wanted.key is not None and wanted.topic != GENERATIONS:
            # A repair or a dead letter stands under the key of what it is about, as everything does.
            numbers = [partition_of(wanted.key.encode(), settings.partitions)]
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "tail",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "error_cb": lambda error: None,
            }
        )
        try:
            missing = self._consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic].error
            if missing is not None:
                raise failure(missing)
            self._bounds = {
                number: self._consumer.get_watermark_offsets(self._at(number), _ASK_SECONDS) for number in numbers
            }
            start = wanted.start or ("end" if wanted.follow else "beginning")
            self._starts = self._resolved(start)
            self._ends = self._resolved(wanted.end or "end")
        except KafkaException as error:
            self.close()
            raise failure(error.args[0]) from error
        except (TailRefused, TopicMissing):
            self.close()
            raise

    def close(self) -> None:
        self._consumer.close()

    def messages(self) -> Iterator[Message]:
        """Up to the ends, or for ever."""
        left = set(self._starts) if self._wanted.follow else {n for n, at in self._starts.items() if at < self._ends[n]}
        if not left:
            return
        self._consumer.assign([self._at(number, self._starts[number]) for number in left])
        moved = time.monotonic()
        while left:
            messages = self._consumer.consume(_AT_ONCE, timeout=_POLL_SECONDS)
            if messages or self._wanted.follow:
                moved = time.monotonic()
            elif time.monotonic() - moved > _STALLED_SECONDS:
                raise StoreAway(f"Kafka gave no record for {_STALLED_SECONDS:.0f} s")
            for message in messages:
                number, offset, error = message.partition(), message.offset(), message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    if self._wanted.follow and error.retriable():
                        continue
                    raise failure(error)
                if number not in left or offset is None:
                    continue
                if error is None and (self._wanted.follow or offset < self._ends[number]):
                    yield message
                if not self._wanted.follow and offset + (error is None) >= self._ends[number]:
                    left.discard(number)

    def _resolved(self, text: str) -> dict[int, int]:
        """The offset that ``text`` means, in each partition, within what there is."""
        if text in ("beginning", "end"):
            return {number: bounds[text == "end"] for number, bounds in self._bounds.items()}
        if text.isascii() and text.isdigit():
            return {number: min(max(int(text), low), high) for number, (low, high) in self._bounds.items()}
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise TailRefused(
                f"{text!r} is no offset, no time such as 2026-11-21T08:00, not beginning and not end"
            ) from None
        ms = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
        asked = [self._at(number, ms) for number in self._bounds]
        found = self._consumer.offsets_for_times(asked, timeout=_ASK_SECONDS)
        return {one.partition: self._bounds[one.partition][1] if one.offset < 0 else one.offset for one in found}

    def _at(self, number: int, offset: int = 0) -> KafkaPartition:
        return KafkaPartition(self._topic, number, offset)


def _line(topic: str, message: Message) -> dict[str, Any]:
    key, value = message.key(), message.value()
    stamp = message.timestamp()[1]
    line: dict[str, Any] = {
        "topic": topic,
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": moment(stamp),
        "timestamp_ms": stamp,
        "key": _text(key),
        "type": None,
    }
    headers = message.headers()
    if topic == GENERATIONS:
        line["value"] = None if value is None else json.loads(value)
        return line
    if isinstance(headers, list) and headers:
        named = {name: _text(content) for name, content in headers}
        line["dead" if topic.endswith(DLQ_SUFFIX) else "headers"] = named
    try:
        event = decode(value if isinstance(value, bytes) else None)
    except Undecodable as error:
        line["undecodable"] = str(error)
    else:
        line["type"] = type(event).__name__
        line["event"] = _shown(event)
    return line


def _shown(event: Event) -> dict[str, Any]:
    fields = fields_of(event)
    return {**fields, "at": moment(event.at), "at_ms": event.at}


def _is_wanted(wanted: Wanted, message: Message, line: Mapping[str, Any]) -> bool:
    if wanted.key is not None and line["key"] != wanted.key:
        return False
    if wanted.types and line["type"] not in wanted.types:
        return False
    return all(_holds(line.get("event"), name, value) for name, value in wanted.where.items())


def _holds(found: Any, name: str, value: str) -> bool:
    """Whether the field, with dots for what is inside of it, has the value; of a list, whether one of it has."""
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return value in map(str, found) if isinstance(found, list) else str(found) == value


def moment(ms: int) -> str:
    """A time in ms since 1970 as ISO 8601 in UTC."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return str(ms)  # no time of this world: poison


def _text(content: bytes | str | None) -> str | None:
    return content.decode(errors="backslashreplace") if isinstance(content, bytes) else content
