"""The schemas as the ``*.avsc`` files declare them, each made self-contained, as a registry wants it.

Each file is one JSON array: the nested records it needs, then one record per event of the topic it is named after.
A name that was defined earlier in the array stands for that definition.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from schemas.events import EVENTS, TOPICS

NAMESPACE = "shutterlog"
Schema = Any
"""An Avro schema as parsed JSON."""


def subject(topic: str, record: str) -> str:
    """The registry's name for the event ``record`` of ``topic`` (TopicRecordNameStrategy, without a world's prefix)."""
    return f"{topic}-{NAMESPACE}.{record}"


@cache
def declared() -> dict[str, Schema]:
    """Every subject's schema: self-contained, with documentation and logical types. Read once; do not change it."""
    events = {event.__name__ for event in EVENTS}
    found: dict[str, Schema] = {}
    for topic in TOPICS:
        records = json.loads(files("schemas").joinpath(f"{topic}.avsc").read_text())
        definitions = {record["name"]: record for record in records}
        for name in definitions:
            if name in events:
                found[subject(topic, name)] = _inlined(name, definitions, set())
    return found


def bare(schema: Schema) -> Schema:
    """``schema`` without documentation: what readers and writers have to agree on."""
    return _without(schema, "doc")


def runtime(schema: Schema) -> Schema:
    """``schema`` as bytes are read and written: times stay integers, since datetimes are slow and lose range."""
    return _without(schema, "doc", "logicalType")


def _inlined(name: str, definitions: dict[str, Schema], written: set[str]) -> Schema:
    """The definition of ``name``; each record is written out where it first occurs, and by name from there on."""
    if name in written or name not in definitions:
        return name
    written.add(name)
    fields = [
        {**field, "type": _inlined_type(field["type"], definitions, written)} for field in definitions[name]["fields"]
    ]
    return {**definitions[name], "fields": fields}


def _inlined_type(declared_type: Schema, definitions: dict[str, Schema], written: set[str]) -> Schema:
    if isinstance(declared_type, str):
        return _inlined(declared_type, definitions, written)
    if isinstance(declared_type, list):
        return [_inlined_type(branch, definitions, written) for branch in declared_type]
    inner = {
        key: _inlined_type(declared_type[key], definitions, written)
        for key in ("items", "values")
        if key in declared_type
    }
    return {**declared_type, **inner}


def _without(node: Schema, *attributes: str) -> Schema:
    if isinstance(node, dict):
        # A default is a value, not a schema: whatever it holds stays.
        return {k: v if k == "default" else _without(v, *attributes) for k, v in node.items() if k not in attributes}
    if isinstance(node, list):
        return [_without(item, *attributes) for item in node]
    return node
