"""Events as JSON, for people and their programs; the log itself holds Avro.

An object of the event's fields, with its class's name beside it. Ids (fields that end in ``_id`` or ``_ids``) are
strings of digits, since many programs read JSON numbers as doubles; times and sizes are numbers; bytes, such as sealed
fields, are base64. Programs read this, so it stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.events import EVENTS, Event

_CLASSES = {event.__name__: event for event in EVENTS}


class NotAnEvent(ValueError):
    """JSON that says no event. The message says what is wrong with it."""


def fields_of(event: Event) -> dict[str, Any]:
    """The fields of ``event`` as JSON types."""
    fields: dict[str, Any] = _with_ids(msgspec.to_builtins(event))
    return fields


def event_of(name: str, fields: Mapping[str, Any]) -> Event:
    """The event of class ``name`` with ``fields``, as ``fields_of`` gives them; ids may be integers too.

    Raises ``NotAnEvent`` for an unknown class, fields that are missing, unknown or of the wrong type.
    """
    known = _CLASSES.get(name)
    if known is None:
        raise NotAnEvent(f"there is no event {name!r}; there are {', '.join(_CLASSES)}")
    if _imprecise(fields):
        raise NotAnEvent(f"{name}: its numbers are whole; write ids as strings, so that no program rounds them")
    try:
        event = msgspec.convert(fields, known, strict=False)  # ids may be strings
    except msgspec.MsgspecError as error:
        raise NotAnEvent(f"{name}: {error}") from error
    unknown = _beyond(fields, fields_of(event))
    if unknown:
        raise NotAnEvent(f"{name} has no field {unknown}")
    return event


def _with_ids(value: Any, is_id: bool = False) -> Any:
    """``value`` with every id in it as a string."""
    if isinstance(value, dict):
        return {name: _with_ids(one, name.endswith(("_id", "_ids"))) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_ids(one, is_id) for one in value]
    return str(value) if is_id else value


def _imprecise(value: Any) -> bool:
    """Whether a number in ``value`` went through a double: an id that did is another one."""
    if isinstance(value, Mapping):
        return any(_imprecise(one) for one in value.values())
    return any(_imprecise(one) for one in value) if isinstance(value, list) else isinstance(value, float)


def _beyond(given: Any, taken: Any, path: str = "") -> str:
    """The path of the first field in ``given`` that ``taken`` has not; empty for none."""
    if isinstance(given, Mapping) and isinstance(taken, Mapping):
        for name, one in given.items():
            found = _beyond(one, taken[name], f"{path}{name}.") if name in taken else f"{path}{name}"
            if found:
                return found
    elif isinstance(given, list) and isinstance(taken, list):
        for one, other in zip(given, taken, strict=False):
            found = _beyond(one, other, path)
            if found:
                return found
    return ""
