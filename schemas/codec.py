"""Events to bytes and back, in Confluent's framing: a zero byte, the schema's id in 4 bytes, the Avro body.

Decoding is strict, since what it lets through is folded into every view: every byte must be consumed, ids must be
Snowflakes, times must not be negative. Whatever is wrong with the bytes comes out as ``Undecodable``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, get_args, get_type_hints

import fastavro
import msgspec

from schemas.declared import runtime, subject
from schemas.events import EVENTS, Event
from schemas.ids import MIN_ID
from schemas.lock import Lock, locked

_FRAME = struct.Struct(">bI")
ZERO_ALLOWED = {
    ("UploadFailed", "post_id"),
    ("CommentAdded", "parent_id"),
    ("CommentAdded", "parent_author_id"),
    ("CommentDeleted", "parent_id"),
    ("CommentDeleted", "parent_author_id"),
    ("PostSaved", "collection_id"),
    ("PostUnsaved", "collection_id"),
}
"""Ids that may also be 0."""
_PEOPLE = ("mentions", "tagged", "newly_mentioned", "newly_tagged", "unmentioned", "untagged")
"""Fields that are lists of ids too, though their names do not end as those of the others do."""


class Undecodable(ValueError):
    """Bytes that are no event. The message says why."""


class UnknownSchema(Undecodable):
    """A schema id that is not in the lock: garbage, or a writer newer than this reader."""


class Codec:
    """Encodes and decodes under the ids of one lock."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self._writers = {event: _Writer(event, lock) for event in EVENTS}
        self._readers = {_FRAME.pack(0, number): _Reader(lock, number).read for number in lock.by_id}

    def encode(self, event: Event) -> bytes:
        """The framed bytes of ``event``. Raises ``ValueError`` for an event that ``decode`` would not take."""
        return self._writers[type(event)].write(event)

    def decode(self, value: bytes | None) -> Event:
        """The event in ``value``, whichever version wrote it. Raises ``Undecodable``."""
        read = self._readers.get(value[: _FRAME.size]) if value else None
        if read is None or value is None:
            raise _of_no_schema(value or b"")
        return read(value)


def _of_no_schema(value: bytes) -> Undecodable:
    if len(value) < _FRAME.size:
        return Undecodable(f"{len(value)} bytes are too few for an event")
    magic, number = _FRAME.unpack_from(value)
    if magic:
        return Undecodable(f"the first byte is {value[0]}, not 0")
    return UnknownSchema(f"schema id {number} is not in the lock")


class _Writer:
    def __init__(self, event: type[Event], lock: Lock) -> None:
        newest = lock.subjects[subject(event.TOPIC, event.__name__)][-1]
        self._schema = fastavro.parse_schema(runtime(newest.schema))
        self._head = _FRAME.pack(0, newest.id)
        self._flat = not any(_nested(hint) for hint in get_type_hints(event).values())
        self._refusal = _refusal_of(event)

    def write(self, event: Event) -> bytes:
        refusal = self._refusal(event)
        if refusal:
            raise ValueError(refusal)
        # asdict is shallow and three times as fast; nested records need the deep copy.
        fields = (
            msgspec.structs.asdict(event)
            if self._flat
            else msgspec.to_builtins(event, builtin_types=(bytes, bytearray))
        )
        out = io.BytesIO()
        out.write(self._head)
        try:
            fastavro.schemaless_writer(out, self._schema, fields)
        except (TypeError, OverflowError) as error:
            raise ValueError(f"{type(event).__name__}: {error}") from error
        return out.getvalue()


class _Reader:
    def __init__(self, lock: Lock, number: int) -> None:
        written = lock.by_id[number]
        newest = lock.subjects[written.subject][-1]
        self._event = _CLASSES[written.subject]
        self._flat = not any(_nested(hint) for hint in get_type_hints(self._event).values())
        self._refusal = _refusal_of(self._event)
        self._writer_schema = fastavro.parse_schema(runtime(written.schema))
        # Without a reader schema fastavro skips resolution, which costs about as much again.
        self._reader_schema = None if written is newest else fastavro.parse_schema(runtime(newest.schema))

    def read(self, value: bytes) -> Event:
        body = io.BytesIO(value)
        body.seek(_FRAME.size)
        try:
            fields: Any = fastavro.schemaless_reader(body, self._writer_schema, self._reader_schema)
            event: Event = self._event(**fields) if self._flat else msgspec.convert(fields, self._event)
        except (EOFError, IndexError) as error:
            raise Undecodable(
                f"{self._event.__name__}: the bytes end before the event does, or are none of its schema"
            ) from error
        except Exception as error:  # whatever bytes can provoke in the library is about these bytes
            raise Undecodable(f"{self._event.__name__}: {type(error).__name__}: {error}") from error
        if body.tell() != len(value):
            raise Undecodable(f"{self._event.__name__}: {len(value) - body.tell()} bytes follow the event")
        refusal = self._refusal(event)
        if refusal:
            raise Undecodable(refusal)
        return event


def _nested(hint: Any) -> bool:
    return any(isinstance(t, type) and issubclass(t, msgspec.Struct) for t in (hint, *get_args(hint)))


def _refusal_of(event: type[Event]) -> Callable[[Event], str | None]:
    """A check that says what is out of range in an event of this class, or None. One pass over all ids at once."""
    hints = get_type_hints(event)
    name = event.__name__
    single = [f for f in event.__struct_fields__ if f.endswith("_id") and hints[f] is int]
    optional = [f for f in single if (name, f) in ZERO_ALLOWED]
    # Typed wider than a tuple: every event has at least two ids, so attrgetter gives one.
    required: Callable[[Event], Sequence[int]] = attrgetter(*(f for f in single if f not in optional))
    lists = [f for f in event.__struct_fields__ if f.endswith("_ids") or f in _PEOPLE]
    pictured = [f for f in ("media", "picture") if f in hints]
    more = bool(optional or lists or pictured)

    def refusal(checked: Event) -> str | None:
        ids = required(checked)
        if more:
            ids = list(ids)
            for field in optional:
                if number := getattr(checked, field):
                    ids.append(number)
            for field in lists:
                ids += getattr(checked, field)
            for field in pictured:
                pictures = getattr(checked, field)
                ids += [p.media_id for p in pictures] if isinstance(pictures, list) else [pictures.media_id]
        if min(ids) < MIN_ID:  # an Avro long cannot be above MAX_ID
            return f"{name}: an id is out of range"
        return f"{name}: the time {checked.at} is negative" if checked.at < 0 else None

    return refusal


_CLASSES = {subject(event.TOPIC, event.__name__): event for event in EVENTS}
_current: Codec | None = None


def current() -> Codec:
    """The codec in use: under the lock's own ids unless ``use`` chose another."""
    global _current
    if _current is None:
        _current = Codec(locked())
    return _current


def use(codec: Codec | None) -> None:
    """Let ``encode`` and ``decode`` go by ``codec`` from now on (a registry's ids); None returns to the lock's."""
    global _current
    _current = codec


def encode(event: Event) -> bytes:
    """The framed bytes of ``event``. Raises ``ValueError`` for an event that ``decode`` would not take."""
    return current().encode(event)


def decode(value: bytes | None) -> Event:
    """The event in ``value``, whichever version wrote it. Raises ``Undecodable``."""
    return current().decode(value)


def decode_record(topic: str, key: bytes | None, value: bytes | None) -> Event:
    """The event of a record as it stands in the log, as every view takes it. ``topic`` is its name in the design.

    Raises ``Undecodable``, also where it stands in a topic that is not its own, or under another key.
    """
    if value is None:
        raise Undecodable("the record has no value: nothing in this log is ever a tombstone")
    event = current().decode(value)
    if topic != event.TOPIC:
        raise Undecodable(f"a {type(event).__name__} belongs into {event.TOPIC}, not into {topic}")
    if key != event.key:
        name = type(event).__name__
        raise Undecodable(f"the key of this {name} is {key!r}, but its {event.KEY} says {event.key!r}")
    return event
