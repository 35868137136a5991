"""The event classes, the Avro files and the lock say the same."""

from __future__ import annotations

import inspect
import json
from importlib.resources import files
from typing import Any, get_args, get_origin, get_type_hints

import fastavro
import msgspec
import pytest

from jobs.schemas import check
from schemas.declared import bare, declared, runtime, subject
from schemas.events import EVENTS, TOPICS
from schemas.lock import Lock, Version, locked


def as_avro(struct: type[Any], written: set[str]) -> Any:
    """The Avro schema that an event class or a record within it stands for, without documentation."""
    if struct.__name__ in written:
        return struct.__name__
    written.add(struct.__name__)
    hints = get_type_hints(struct)
    fields = []
    for info in msgspec.structs.fields(struct):
        field = {"name": info.name, "type": type_as_avro(hints[info.name], info.name, written)}
        default = info.default if info.default_factory is msgspec.NODEFAULT else info.default_factory()
        if default is not msgspec.NODEFAULT:
            field["default"] = default.decode("latin-1") if isinstance(default, bytes) else default
        fields.append(field)
    return {"type": "record", "name": struct.__name__, "namespace": "shutterlog", "fields": fields}


def type_as_avro(hint: Any, name: str, written: set[str]) -> Any:
    """The Avro type of one field."""
    if name == "at":
        return {"type": "long", "logicalType": "timestamp-millis"}
    if get_origin(hint) is list:
        return {"type": "array", "items": type_as_avro(get_args(hint)[0], "", written)}
    primitive = {bool: "boolean", int: "long", str: "string", bytes: "bytes"}.get(hint)
    return primitive or as_avro(hint, written)


def test_every_class_equals_its_schema() -> None:
    expected = {subject(event.TOPIC, event.__name__): as_avro(event, set()) for event in EVENTS}
    assert {name: bare(schema) for name, schema in declared().items()} == expected


@pytest.mark.parametrize("topic", TOPICS)
def test_files_are_documented_avro_and_hold_nothing_else(topic: str) -> None:
    records = json.loads(files("schemas").joinpath(f"{topic}.avsc").read_text())
    assert len(fastavro.parse_schema(records)) == len(records)
    used = json.dumps([schema for name, schema in declared().items() if name.startswith(f"{topic}-")])
    for record in records:
        assert isinstance(record, dict)
        assert record["doc"] and record["namespace"] == "shutterlog"
        assert f'"name": "{record["name"]}"' in used, f"{record['name']} is used by no event of {topic}"


def test_documentation_of_events_is_that_of_their_classes() -> None:
    for event in EVENTS:
        doc = " ".join((inspect.getdoc(event) or "").replace("``", "").split())
        assert declared()[subject(event.TOPIC, event.__name__)]["doc"] == doc


@pytest.mark.parametrize("name", declared())
def test_each_schema_is_self_contained(name: str) -> None:
    parsed: Any = fastavro.parse_schema(declared()[name])
    assert parsed["name"] == name.partition("-")[2]


def test_runtime_schemas_have_no_logical_types_but_keep_defaults() -> None:
    for schema in declared().values():
        text = json.dumps(runtime(schema))
        assert "logicalType" not in text and '"doc"' not in text
        assert '"default": ""' in text


def test_the_lock_is_current() -> None:
    assert check(locked()).lines() == ["the lock is current and all versions are compatible"]


def test_the_lock_reads_what_it_writes() -> None:
    assert Lock.parse(locked().text()).text() == locked().text()
    assert files("schemas").joinpath("lock.json").read_text() == locked().text()


@pytest.mark.parametrize(
    "versions",
    [
        [Version("a", 1, 1, "long"), Version("b", 1, 1, "long")],
        [Version("a", 2, 1, "long")],
        [Version("a", 1, 1, "long"), Version("a", 1, 2, "long")],
    ],
    ids=["an id twice", "a version missing", "a version twice"],
)
def test_a_damaged_lock_is_refused(versions: list[Version]) -> None:
    with pytest.raises(ValueError, match="damaged"):
        Lock(versions)
