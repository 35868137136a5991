"""The codec takes every event and nothing else."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any, get_type_hints

import fastavro
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import ZERO_ALLOWED, Codec, Undecodable, UnknownSchema, decode, encode
from schemas.declared import declared
from schemas.events import (
    EVENTS,
    Event,
    Followed,
    PostPublished,
    PostSubmitted,
    ProfileChanged,
    RenderedMedia,
    Rendition,
    RenditionsReady,
    Source,
    Sticker,
    UploadFailed,
)
from schemas.ids import MIN_ID
from schemas.lock import Lock, locked
from tests.schemas.samples import events

FOLLOWED = Followed(
    event_id=MIN_ID, at=1_700_000_000_000, actor_id=MIN_ID + 1, follower_id=MIN_ID + 1, followee_id=MIN_ID + 2
)


@given(events())
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    back = decode(encode(event))
    assert back == event
    assert type(back) is type(event)
    # Equality alone would take a dict for a nested record.
    assert repr(back) == repr(event)


@given(events())
def test_bytes_are_what_the_registered_schema_says(event: Event) -> None:
    value = encode(event)
    magic, number = struct.unpack_from(">bI", value)
    version = locked().by_id[number]
    assert magic == 0
    assert version.subject == f"{event.TOPIC}-shutterlog.{type(event).__name__}"
    plain: Any = fastavro.schemaless_reader(
        io.BytesIO(value[5:]), fastavro.parse_schema(_timeless(version.schema)), None
    )
    assert plain == msgspec.to_builtins(event, builtin_types=(bytes,))


@given(st.binary(max_size=200))
def test_random_bytes_are_undecodable_or_an_event(value: bytes) -> None:
    _decode_or_refuse(value)


@given(st.sampled_from(sorted(locked().by_id)), st.binary(max_size=200))
@example(1, b"\xff" * 200)
@example(1, b"\x80" * 200)
def test_random_bodies_are_undecodable_or_an_event(number: int, body: bytes) -> None:
    _decode_or_refuse(struct.pack(">bI", 0, number) + body)


@given(events(), st.data())
def test_mutated_events_are_undecodable_or_an_event(event: Event, data: st.DataObject) -> None:
    value = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(value) - 1))
        change = data.draw(st.sampled_from(["set", "insert", "cut"]))
        if change == "set":
            value[place] = data.draw(st.integers(0, 255))
        elif change == "insert":
            value[place:place] = data.draw(st.binary(min_size=1, max_size=12))
        elif len(value) > 1:
            del value[place]
    _decode_or_refuse(bytes(value))


@given(events(), st.data())
def test_truncated_events_are_undecodable(event: Event, data: st.DataObject) -> None:
    value = encode(event)
    with pytest.raises(Undecodable):
        decode(value[: data.draw(st.integers(0, len(value) - 1))])


@given(events(), st.binary(min_size=1, max_size=20))
def test_bytes_after_the_event_are_undecodable(event: Event, rest: bytes) -> None:
    with pytest.raises(Undecodable, match="follow the event|EOF|out of range"):
        decode(encode(event) + rest)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "too few"),
        (b"", "too few"),
        (b"\0\0\0\0", "too few"),
        (b"\1" + encode(FOLLOWED)[1:], "first byte is 1"),
        (b"\xff" + encode(FOLLOWED)[1:], "first byte is 255"),
        (b'{"event_id":1}', "first byte is 123"),
        (b"\0\0\0\0\0" + encode(FOLLOWED)[5:], "schema id 0 is not in the lock"),
        (b"\0\xff\xff\xff\xff" + encode(FOLLOWED)[5:], "schema id 4294967295 is not in the lock"),
    ],
)
def test_what_is_not_framed_as_an_event_says_so(value: bytes | None, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(value)


def test_an_unknown_id_can_be_told_from_garbage() -> None:
    with pytest.raises(UnknownSchema):
        decode(b"\0\0\0\xff\xff")


def test_text_that_is_not_utf8_is_undecodable() -> None:
    event = msgspec.structs.replace(FOLLOWED, trace_id="abcdefgh")
    with pytest.raises(Undecodable, match="utf-8"):
        decode(encode(event).replace(b"abcdefgh", b"abcd\xff\xfe\xfdh"))


BAD_IDS = [0, 1, -1, MIN_ID - 1, -(2**63)]


def _spoilt() -> Iterator[Any]:
    """Events with one field out of its range: each id of each class in turn, and the time."""
    samples = {type(event): event for event in _one_of_each()}
    for event in EVENTS:
        good = samples[event]
        for field in event.__struct_fields__:
            if field.endswith("_id") and field != "trace_id":
                for bad in BAD_IDS:
                    if bad or (event.__name__, field) not in ZERO_ALLOWED:
                        yield pytest.param(good, {field: bad}, id=f"{event.__name__}.{field}={bad}")
        yield pytest.param(good, {"at": -1}, id=f"{event.__name__}.at")
    submitted, ready, published = samples[PostSubmitted], samples[RenditionsReady], samples[PostPublished]
    yield pytest.param(submitted, {"media_ids": [MIN_ID, 7]}, id="PostSubmitted.media_ids")
    yield pytest.param(submitted, {"tagged": [7]}, id="PostSubmitted.tagged")
    yield pytest.param(published, {"mentions": [7]}, id="PostPublished.mentions")
    picture = msgspec.structs.replace(ready.media, media_id=7)  # type: ignore[attr-defined]
    yield pytest.param(ready, {"media": picture}, id="RenditionsReady.media.media_id")
    yield pytest.param(published, {"media": [picture]}, id="PostPublished.media.media_id")
    yield pytest.param(samples[ProfileChanged], {"picture": [picture]}, id="ProfileChanged.picture.media_id")


def _one_of_each() -> Iterator[Event]:
    picture = RenderedMedia(MIN_ID, 4, 3, "L", "#000000", [Rendition(150, 4, 3, "k", 9)])
    by_type: dict[Any, Any] = {
        bool: True,
        int: MIN_ID,
        str: "x",
        bytes: b"x",
        list[int]: [MIN_ID],
        list[str]: ["x"],
        Source: Source("media", 0, 0, 0),
        RenderedMedia: picture,
        list[RenderedMedia]: [picture],
        list[Sticker]: [Sticker(kind="text", x=500, y=500, content=b"x")],
    }
    for event in EVENTS:
        hints = get_type_hints(event)
        yield event(**{field: by_type[hints[field]] for field in event.__struct_fields__})


@pytest.mark.parametrize(("event", "change"), list(_spoilt()))
def test_what_is_out_of_range_is_neither_written_nor_read(event: Event, change: dict[str, Any]) -> None:
    assert decode(encode(event)) == event
    spoilt = msgspec.structs.replace(event, **change)
    with pytest.raises(ValueError, match="out of range|negative"):
        encode(spoilt)
    with pytest.raises(Undecodable, match="out of range|negative"):
        decode(_forced(spoilt))


def test_a_notice_may_be_about_no_post() -> None:
    event = next(event for event in _one_of_each() if isinstance(event, UploadFailed))
    event = msgspec.structs.replace(event, post_id=0)
    assert decode(encode(event)) == event


@pytest.mark.parametrize("change", [{"at": 2**63}, {"trace_id": None}, {"followee_id": 2**63}, {"at": "now"}])
def test_values_that_avro_cannot_hold_are_refused_at_once(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        encode(msgspec.structs.replace(FOLLOWED, **change))


def test_lengths_from_another_world_cost_nothing() -> None:
    number = next(n for n, v in locked().by_id.items() if v.subject == "posts-shutterlog.PostPublished")
    head = struct.pack(">bI", 0, number)
    ids = encode(FOLLOWED)[5:]
    longs = [_varint(MIN_ID), _varint(1), _varint(MIN_ID)]
    start = head + b"".join(longs)
    attacks = [
        start + _varint(2**62),  # a string of 2**62 bytes
        start + _varint(-1),  # ... of -1 bytes
        start + _varint(0) + longs[0] * 2 + _varint(2**62),  # an array of 2**62 records
        start + _varint(0) + longs[0] * 2 + _varint(-(2**63)) + _varint(1),
        start + _varint(0) + longs[0] * 2 + (_varint(-(2**63)) + _varint(0)) * 20_000,
        head + b"\x80" * 1_000_000,  # one integer that does not end
        head + ids * 20_000,
    ]
    tracemalloc.start()
    began = time.process_time()
    for attack in attacks:
        with pytest.raises(Undecodable):
            decode(attack)
    assert time.process_time() - began < 2.0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


# -- versions ---------------------------------------------------------------------------------------------------------


def test_an_older_writer_is_read_with_defaults() -> None:
    old = json.loads(json.dumps(declared()["graph-shutterlog.Followed"]))
    old["fields"] = [field for field in old["fields"] if field["name"] != "trace_id"]
    older = [
        version._replace(schema=old) if version.schema["name"] == "Followed" else version
        for version in locked().versions()
    ]
    history = Lock(older).with_version("graph-shutterlog.Followed", declared()["graph-shutterlog.Followed"])
    reader = Codec(history)
    number = history.subjects["graph-shutterlog.Followed"][0].id
    fields = msgspec.structs.asdict(FOLLOWED)
    fields.pop("trace_id")
    assert reader.decode(_framed(number, old, fields)) == FOLLOWED
    assert struct.unpack_from(">bI", reader.encode(FOLLOWED))[1] == history.subjects["graph-shutterlog.Followed"][-1].id


def test_a_profile_of_before_has_no_links_and_no_picture() -> None:
    first = locked().subjects["accounts-shutterlog.ProfileChanged"][0]
    fields = {"event_id": MIN_ID, "at": 1, "actor_id": MIN_ID, "user_id": MIN_ID, "name": b"n", "bio": b"b"}
    event = decode(_framed(first.id, first.schema, fields))
    assert event == ProfileChanged(**fields, links=b"", picture=[])  # type: ignore[arg-type]


def test_ids_of_a_registry_take_the_place_of_the_lock() -> None:
    ids = {(v.subject, v.version): v.id + 5000 for v in locked().versions()}
    value = encode(FOLLOWED)
    codec.use(Codec(locked().with_ids(ids)))
    try:
        foreign = encode(FOLLOWED)
        assert struct.unpack_from(">bI", foreign)[1] == struct.unpack_from(">bI", value)[1] + 5000
        assert decode(foreign) == FOLLOWED
        with pytest.raises(UnknownSchema):
            decode(value)
    finally:
        codec.use(None)
    assert decode(value) == FOLLOWED


# -- inside -----------------------------------------------------------------------------------------------------------


def _decode_or_refuse(value: bytes) -> None:
    try:
        event = decode(value)
    except Undecodable as refusal:
        assert str(refusal)
    else:
        assert decode(encode(event)) == event


def _timeless(schema: Any) -> Any:
    return json.loads(json.dumps(schema).replace('"logicalType": "timestamp-millis"', '"unused": 0'))


def _framed(number: int, schema: Any, fields: dict[str, Any]) -> bytes:
    out = io.BytesIO(struct.pack(">bI", 0, number))
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(_timeless(schema)), fields)
    return out.getvalue()


def _forced(event: Event) -> bytes:
    """The bytes of an event that ``encode`` refuses."""
    version = locked().subjects[f"{event.TOPIC}-shutterlog.{type(event).__name__}"][-1]
    return _framed(version.id, version.schema, msgspec.to_builtins(event, builtin_types=(bytes,)))


def _varint(number: int) -> bytes:
    zigzag = (number << 1) ^ (number >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)
