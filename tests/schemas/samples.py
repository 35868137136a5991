"""Events for tests: strategies for each class, with every field anywhere in its range."""

from __future__ import annotations

from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from schemas.codec import ZERO_ALLOWED
from schemas.events import EVENTS, Event
from schemas.ids import MAX_ID, MIN_ID

IDS = st.integers(MIN_ID, MAX_ID)
LONGS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


def events(*classes: type[Event]) -> st.SearchStrategy[Event]:
    """Events of these classes, of all without any."""
    return st.one_of([_struct(event) for event in classes or EVENTS])


def _struct(struct: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(struct)
    return st.builds(struct, **{field: _value(struct, field, hints[field]) for field in struct.__struct_fields__})


def _value(struct: type[Any], field: str, hint: Any) -> st.SearchStrategy[Any]:
    if field == "at":
        return st.integers(0, 2**63 - 1)
    if (struct.__name__, field) in ZERO_ALLOWED:
        return IDS | st.just(0)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return IDS if field.endswith("_id") else LONGS
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        return st.lists(
            IDS if field.endswith(("_ids", "mentions", "mentioned", "tagged")) else _value(struct, "", item), max_size=3
        )
    if issubclass(hint, msgspec.Struct):
        return _struct(hint)
    return {str: TEXT, bytes: st.binary(max_size=40)}[hint]
