"""What may change in a schema, and what may not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from jobs.schemas import check, extended, read_lock
from schemas.compatibility import incompatibilities
from schemas.declared import declared
from schemas.lock import Lock, Version, locked

FOLLOWED = "graph-shutterlog.Followed"


def record(*fields: dict[str, Any], name: str = "Sample", **more: Any) -> dict[str, Any]:
    """A record with these fields."""
    return {"type": "record", "name": name, "namespace": "t", "fields": list(fields), **more}


def one(field_type: Any, **more: Any) -> dict[str, Any]:
    """A record with one field of this type."""
    return record({"name": "f", "type": field_type, **more})


def logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    """A logical type."""
    return {"type": base, "logicalType": name, **more}


A = {"name": "a", "type": "long"}
B = {"name": "b", "type": "string", "default": ""}
ENUM = {"type": "enum", "name": "Kind", "symbols": ["x", "y"]}
WIDER = {**ENUM, "symbols": ["x", "y", "z"]}
NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "at", "type": logical("long", "timestamp-millis")}, {"name": "next", "type": ["null", "Node"]}],
}
NODE_MICROS = {
    **NODE,
    "fields": [{"name": "at", "type": logical("long", "timestamp-micros")}, {"name": "next", "type": ["null", "Node"]}],
}

ALLOWED = {
    "nothing changes": (record(A, B), record(A, B)),
    "a field with a default comes": (record(A), record(A, B)),
    "a field with a default goes": (record(A, B), record(A)),
    "fields change places": (record(A, B), record(B, A)),
    "documentation": (record(A), record({**A, "doc": "Better words."}, doc="And here.")),
    "an optional field comes": (record(A), record(A, {"name": "c", "type": ["null", "long"], "default": None})),
    "another default": (record(B), record({**B, "default": "?"})),
    "a primitive is written out": (one("long"), one({"type": "long"})),
    "an enum with a default grows": (one({**ENUM, "default": "x"}), one({**WIDER, "default": "x"})),
    "the same recursive type": (one(NODE), one(NODE)),
    "union branches change places": (one(["null", "long"]), one(["long", "null"])),
    "a scale of 0 is written out": (
        one(logical("bytes", "decimal", precision=4)),
        one(logical("bytes", "decimal", precision=4, scale=0)),
    ),
}
REFUSED = {
    "a field without a default comes": (record(B), record(A, B)),
    "a field without a default goes": (record(A, B), record(B)),
    "a field has another name": (record(A), record({"name": "z", "type": "long"})),
    "a default goes, and with it the field": (record(A, B), record(A, {"name": "b", "type": "string"}), record(A)),
    "int becomes long": (one("int"), one("long")),
    "long becomes double": (one("long"), one("double")),
    "long becomes string": (one("long"), one("string")),
    "string becomes bytes": (one("string"), one("bytes")),
    "bytes become string in an array": (
        one({"type": "array", "items": "bytes"}),
        one({"type": "array", "items": "string"}),
    ),
    "a value becomes optional": (one("long"), one(["null", "long"])),
    "a union grows": (one(["null", "long"]), one(["null", "long", "string"])),
    "an enum grows": (one(ENUM), one(WIDER)),
    "an enum shrinks": (one(WIDER), one(ENUM)),
    "fixed gets longer": (
        one({"type": "fixed", "name": "F", "size": 4}),
        one({"type": "fixed", "name": "F", "size": 5}),
    ),
    "the record has another name": (record(A), record(A, name="Other")),
    "the record has another namespace": (record(A), record(A) | {"namespace": "elsewhere"}),
    "a time in ms becomes one in µs": (
        one(logical("long", "timestamp-millis")),
        one(logical("long", "timestamp-micros")),
    ),
    "a time becomes a local one": (
        one(logical("long", "timestamp-millis")),
        one(logical("long", "local-timestamp-millis")),
    ),
    "a number becomes a time": (one("long"), one(logical("long", "timestamp-millis"))),
    "a string becomes a uuid": (one("string"), one(logical("string", "uuid"))),
    "a time in a union": (
        one(["null", logical("long", "timestamp-millis")]),
        one(["null", logical("long", "timestamp-micros")]),
    ),
    "a time in a map": (
        one({"type": "map", "values": logical("long", "timestamp-millis")}),
        one({"type": "map", "values": logical("long", "timestamp-micros")}),
    ),
    "a time in a recursive record": (one(NODE), one(NODE_MICROS)),
    "a time in a record within a union": (one(["null", NODE]), one(["null", NODE_MICROS])),
    "a decimal has another scale": (
        one(logical("bytes", "decimal", precision=9, scale=2)),
        one(logical("bytes", "decimal", precision=9, scale=3)),
    ),
    "a decimal has another precision": (
        one(logical("bytes", "decimal", precision=9, scale=2)),
        one(logical("bytes", "decimal", precision=10, scale=2)),
    ),
    "a default of another type": (record(A), record(A, {"name": "b", "type": "long", "default": "0"})),
    "a default of the second branch": (record(A), record(A, {"name": "b", "type": ["null", "long"], "default": 0})),
    "a default outside of its enum": (record(A), record(A, {"name": "b", "type": ENUM, "default": "q"})),
    "a default that is too large": (record(A), record(A, {"name": "b", "type": "int", "default": 2**31})),
    "a type that does not exist": (record(A), record(A, {"name": "b", "type": "text", "default": ""})),
    # Each neighbour fits, and yet the third cannot read the first.
    "two steps, each allowed": (
        record(A, {"name": "b", "type": "long", "default": 0}),
        record(A),
        record(A, {"name": "b", "type": "string", "default": ""}),
    ),
}


@pytest.mark.parametrize("versions", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed(versions: tuple[Any, ...]) -> None:
    assert incompatibilities(versions) == []
    assert incompatibilities(reversed(versions)) == []


@pytest.mark.parametrize("versions", REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_both_directions(versions: tuple[Any, ...]) -> None:
    before = copy.deepcopy(versions)
    assert incompatibilities(versions)
    assert incompatibilities(reversed(versions))
    assert versions == before


def test_reasons_say_which_versions_and_where() -> None:
    reasons = incompatibilities(REFUSED["a time in a record within a union"])
    assert reasons == ["versions 1 and 2: f.at: logicalType changes between timestamp-millis and timestamp-micros"]


# -- real schemas -----------------------------------------------------------------------------------------------------


@pytest.fixture
def real(shared_data: Path) -> dict[str, Any]:
    """Schemas that others use, by file name."""
    found = {path.stem: json.loads(path.read_text()) for path in (shared_data / "avro").glob("*/*.avsc")}
    if not found:
        pytest.skip("no Avro files in the shared data")
    return found


def test_every_real_schema_is_compatible_with_itself(real: dict[str, Any]) -> None:
    for name, schema in real.items():
        assert incompatibilities([schema, copy.deepcopy(schema)]) == [], name


def test_real_schemas_of_different_records_are_not_versions_of_one(real: dict[str, Any]) -> None:
    assert incompatibilities([real["user"], real["extended_user"]])
    assert incompatibilities([real["extended_user"], real["user"]])
    # Equal fields, equal short name, another namespace: the avro package takes them for one.
    assert incompatibilities([real["user"], real["annotated_user"]])


@pytest.mark.parametrize("unit", ["timestamp-micros", "local-timestamp-millis"])
def test_a_time_changed_deep_in_a_real_schema(real: dict[str, Any], unit: str) -> None:
    for name in ("extended_user", "fooBar"):
        changed = json.loads(json.dumps(real[name]).replace('"timestamp-millis"', f'"{unit}"'))
        assert incompatibilities([real[name], changed]), name


def test_a_symbol_added_deep_in_a_real_schema(real: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(real["FooBarSpecificRecord"]).replace('["a", "b", "c"]', '["a", "b", "c", "d"]'))
    assert changed != real["FooBarSpecificRecord"]
    assert incompatibilities([real["FooBarSpecificRecord"], changed])


# -- the lock ---------------------------------------------------------------------------------------------------------


def _changed(**field: Any) -> dict[str, Any]:
    schemas = copy.deepcopy(declared())
    schemas[FOLLOWED]["fields"].append(field)
    return schemas


def test_a_compatible_change_is_to_be_locked() -> None:
    schemas = _changed(name="reason", type="string", default="")
    found = check(locked(), schemas)
    assert found.unlocked == [FOLLOWED] and not found.broken and not found.well
    assert "shutterlog schemas lock" in found.lines()[-1]
    after = extended(locked(), schemas)
    assert check(after, schemas).well
    assert after.subjects[FOLLOWED][-1] == Version(FOLLOWED, 3, max(locked().by_id) + 1, schemas[FOLLOWED])
    assert after.subjects[FOLLOWED][0] == locked().subjects[FOLLOWED][0]


def test_an_incompatible_change_is_refused() -> None:
    schemas = _changed(name="reason", type="string")
    found = check(locked(), schemas)
    assert list(found.broken) == [FOLLOWED]
    assert "a default" in found.lines()[-1]
    with pytest.raises(ValueError, match="cannot read version"):
        extended(locked(), schemas)


def test_better_words_need_no_new_version() -> None:
    schemas = copy.deepcopy(declared())
    schemas[FOLLOWED]["doc"] = "Better words."
    assert check(locked(), schemas).well


def test_a_new_event_is_to_be_locked() -> None:
    lock = Lock(version for version in locked().versions() if version.subject != FOLLOWED)
    assert check(lock).unlocked == [FOLLOWED]
    assert check(extended(lock)).well


def test_an_event_never_goes() -> None:
    schemas = {subject: schema for subject, schema in declared().items() if subject != FOLLOWED}
    assert "put it back" in check(locked(), schemas).lines()[0]


def test_a_lock_edited_by_hand_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_text(locked().text().replace('"timestamp-millis"', '"timestamp-micros"', 1))
    assert not check(read_lock(path)).well
    for text in ("", "{}", '{"subjects": []}', '{"subjects": {"a": [{"version": 1}]}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="damaged|Expecting"):
            read_lock(path)
