"""FULL_TRANSITIVE compatibility: every version of a schema reads what every other version wrote, and means the same.

The ``avro`` package checks one reader against one writer. What it lets through and would still hurt is refused here:
another logical type on the same bytes (a time in ms read as µs), another scale or precision of a decimal, a default
that is no value of its field, and strings where there were bytes, which may not be UTF-8.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from itertools import permutations
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import make_avsc_object

from schemas.declared import Schema

_MEANING = ("logicalType", "scale", "precision")
"""Attributes that say what the bytes mean; the avro package does not compare them."""
_NAMED = ("record", "enum", "fixed", "error")
_WHOLE = {"int": 2**31, "long": 2**63}
_PRIMITIVE = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def incompatibilities(schemas: Iterable[Schema]) -> list[str]:
    """Why these versions of one schema may not all be in the log, as sentences; empty when they may.

    Schemas are parsed JSON, oldest first.
    """
    versions = list(schemas)
    found = [f"version {n}: {reason}" for n, schema in enumerate(versions, 1) for reason in _flaws(schema)]
    if found:
        return found
    for (n, one), (m, other) in permutations(enumerate(versions, 1), 2):
        found += [f"version {n} cannot read version {m}: {reason}" for reason in _unread(one, other)]
        if n < m:
            found += [f"versions {n} and {m}: {reason}" for reason in _other_meaning(one, other)]
    return found


def _parsed(schema: Schema) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logical types that the avro package does not know are compared here
        return make_avsc_object(schema)


def _flaws(schema: Schema) -> list[str]:
    """What is wrong with one schema by itself."""
    try:
        _parsed(schema)
    except (AvroException, TypeError, ValueError, KeyError, AttributeError) as error:
        return [f"not an Avro schema: {error}"]
    return list(_wrong_defaults(schema, _names(schema)))


def _unread(reader: Schema, writer: Schema) -> Iterator[str]:
    result = ReaderWriterCompatibilityChecker().get_compatibility(_parsed(reader), _parsed(writer))
    if result.compatibility is not SchemaCompatibilityType.compatible:
        kinds = sorted({kind.value.replace("_", " ") for kind in result.incompatibilities})
        yield f"{', '.join(kinds) or 'incompatible'} ({'; '.join(sorted(result.messages))})"


# -- defaults ---------------------------------------------------------------------------------------------------------


def _wrong_defaults(schema: Schema, names: dict[str, Schema]) -> Iterator[str]:
    for record in _records(schema):
        for field in record["fields"]:
            if "default" in field and not _is_value(field["default"], field["type"], names):
                yield f"{record['name']}.{field['name']}: the default {field['default']!r} is no value of its type"


def _is_value(value: Any, schema: Schema, names: dict[str, Schema]) -> bool:
    """Whether a default, as JSON has it, is a value of ``schema``. Of a union it belongs to the first branch."""
    schema = _resolved(schema, names)
    if isinstance(schema, list):
        return bool(schema) and _is_value(value, schema[0], names)
    kind = _kind(schema)
    if kind in _WHOLE:
        return type(value) is int and -_WHOLE[kind] <= value < _WHOLE[kind]
    if kind in ("float", "double"):
        return type(value) in (int, float) and math.isfinite(value)
    if kind in ("bytes", "fixed"):
        right_size = kind == "bytes" or (isinstance(value, str) and len(value) == schema["size"])
        return isinstance(value, str) and right_size and all(ord(character) < 256 for character in value)
    if kind == "enum":
        return value in schema["symbols"]
    if kind == "array":
        return isinstance(value, list) and all(_is_value(item, schema["items"], names) for item in value)
    if kind == "map":
        return isinstance(value, dict) and all(_is_value(item, schema["values"], names) for item in value.values())
    if kind == "record":
        return isinstance(value, dict) and all(
            _is_value(value[field["name"]], field["type"], names) if field["name"] in value else "default" in field
            for field in schema["fields"]
        )
    return isinstance(value, {"null": type(None), "boolean": bool, "string": str}[kind])


# -- meaning ----------------------------------------------------------------------------------------------------------


def _other_meaning(one: Schema, other: Schema) -> list[str]:
    """Where the same place of two schemas means something else."""
    if _kind(one) in _NAMED and _full_name(one) != _full_name(other):
        return [f"the name changes from {_full_name(one)} to {_full_name(other)}: that is another schema"]
    return list(_changes(one, other, (_names(one), _names(other)), "", set()))


def _changes(
    one: Schema,
    other: Schema,
    names: tuple[dict[str, Schema], dict[str, Schema]],
    path: str,
    seen: set[tuple[int, int]],
) -> Iterator[str]:
    one, other = _resolved(one, names[0]), _resolved(other, names[1])
    if (id(one), id(other)) in seen:
        return
    if isinstance(one, (dict, list)) and isinstance(other, (dict, list)):
        seen.add((id(one), id(other)))
    branches, others = (schema if isinstance(schema, list) else [schema] for schema in (one, other))
    if isinstance(one, list) or isinstance(other, list):
        for branch in branches:
            for candidate in others:
                if _branch(branch, names[0]) == _branch(candidate, names[1]):
                    yield from _changes(branch, candidate, names, path, seen)
        return
    place = path.lstrip(".") or "the schema itself"
    kinds = {_kind(one), _kind(other)}
    if kinds == {"string", "bytes"}:
        yield f"{place}: bytes need not be a string"
    for attribute in _MEANING:
        before, after = _meaning(one, attribute), _meaning(other, attribute)
        if before != after:
            yield f"{place}: {attribute} changes between {before} and {after}"
    if len(kinds) > 1:
        return  # the avro package has said what there is to say
    if _kind(one) == "record":
        theirs = {name: field for field in other["fields"] for name in (field["name"], *field.get("aliases", ()))}
        for field in one["fields"]:
            match = next((theirs[n] for n in (field["name"], *field.get("aliases", ())) if n in theirs), None)
            if match is not None:
                yield from _changes(field["type"], match["type"], names, f"{path}.{field['name']}", seen)
    for inner in ("items", "values"):
        if inner in _attributes(one) and inner in _attributes(other):
            yield from _changes(one[inner], other[inner], names, f"{path}[]", seen)


def _attributes(schema: Schema) -> Iterable[str]:
    """The attributes of a schema; none of a bare name."""
    return schema.keys() if isinstance(schema, dict) else ()


def _meaning(schema: Schema, attribute: str) -> Any:
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return None
    # A decimal without a scale has scale 0.
    return schema.get(attribute, 0 if attribute == "scale" and schema["logicalType"] == "decimal" else None)


# -- reading schemas --------------------------------------------------------------------------------------------------


def _kind(schema: Schema) -> str:
    while isinstance(schema, dict):
        schema = schema["type"]
    return "union" if isinstance(schema, list) else str(schema)


def _branch(schema: Schema, names: dict[str, Schema]) -> str:
    """What tells a branch of a union from the others."""
    schema = _resolved(schema, names)
    return str(schema["name"]).rpartition(".")[2] if _kind(schema) in _NAMED else _kind(schema)


def _resolved(schema: Schema, names: dict[str, Schema]) -> Schema:
    """The definition that a name stands for, without wrappings that say nothing."""
    while True:
        if isinstance(schema, str) and schema not in _PRIMITIVE:
            schema = names[schema.rpartition(".")[2]]
        elif isinstance(schema, dict) and isinstance(schema["type"], (dict, list)) and "logicalType" not in schema:
            schema = schema["type"]
        else:
            return schema


def _full_name(schema: Schema) -> str:
    schema = _resolved(schema, {})
    if not isinstance(schema, dict) or "name" not in schema:
        return _kind(schema)
    name = str(schema["name"])
    return name if "." in name or not schema.get("namespace") else f"{schema['namespace']}.{name}"


def _names(schema: Schema) -> dict[str, Schema]:
    """The definitions in a schema, by unqualified name."""
    return {str(node["name"]).rpartition(".")[2]: node for node in _nodes(schema) if _kind(node) in _NAMED}


def _records(schema: Schema) -> Iterator[Schema]:
    return (node for node in _nodes(schema) if node["type"] == "record")


def _nodes(schema: Schema) -> Iterator[dict[str, Any]]:
    """Every schema written out as an object, at any depth."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _nodes(branch)
    elif isinstance(schema, dict):
        yield schema
        for inner in (schema["type"], schema.get("items"), schema.get("values")):
            yield from _nodes(inner)
        for field in schema.get("fields", ()):
            yield from _nodes(field["type"])
