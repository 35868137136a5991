"""What comes into ``shutterlog dlq`` from other programs: letters and repaired events, as JSON lines.

One object a line, with at least the letter that is meant; `list --json` and `show --json` print such lines:

    {"topic": "graph", "partition": 3, "offset": 17, "view": null}

and for `redrive` with the repaired event:

    "type": "Followed", "event": {...}                as `show --json` prints events; or
    "value": base64                                   its bytes in the log's own framing, where "event" is null or
                                                      missing

Other fields are passed over, so that what `show --json` prints can be changed and given back.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.dlq import BadRequest, address_of, resolved_text, what_helps
from schemas.codec import Undecodable, decode, decode_record, encode
from schemas.readable import NotAnEvent, event_of
from sinks.dead_letters_fold import DeadLetterBook, Letter, LetterId
from sinks.dead_letters_resolving import Repair
from sinks.producer import EVENT_LIMIT


@dataclass(frozen=True)
class Line:
    """One line of input: which letter it names, and all that it says. ``number`` counts from 1."""

    number: int
    letter: LetterId
    said: dict[str, Any]


def parsed(given: Iterable[str]) -> list[Line]:
    """The lines that are not empty. Raises ``BadRequest``, naming every line that names no letter."""
    found: list[Line] = []
    wrong: list[str] = []
    for number, text in enumerate(given, 1):
        if not text.strip():
            continue
        try:
            found.append(_line(number, text))
        except BadRequest as error:
            wrong.append(f"line {number}: {error}")
    first: dict[LetterId, int] = {}
    for line in found:
        if line.letter in first:
            wrong.append(f"line {line.number}: {line.letter} stands in line {first[line.letter]} already")
        first.setdefault(line.letter, line.number)
    refuse(wrong)
    return found


def _line(number: int, text: str) -> Line:
    try:
        said = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"this is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise BadRequest("a line is one JSON object")
    for name, kind in (("topic", str), ("partition", int), ("offset", int)):
        if type(said.get(name)) is not kind:
            raise BadRequest(f'it needs "topic", "partition" and "offset" of the letter, and its {name} is missing')
    view = said.get("view") or ""
    if not isinstance(view, str):
        raise BadRequest('"view" is a name or null')
    address = address_of(f"{said['topic']}-{said['partition']}@{said['offset']}")
    return Line(number, LetterId(address.tp, address.offset, view), said)


def repairs_of(read_lines: Sequence[Line], book: DeadLetterBook) -> list[Repair]:
    repairs: list[Repair] = []
    wrong: list[str] = []
    for line in read_lines:
        try:
            repairs.append(_repair(line, book))
        except BadRequest as error:
            wrong.append(f"line {line.number}: {error}")
    refuse(wrong)
    return repairs


def refuse(wrong: Sequence[str]) -> None:
    if wrong:
        raise BadRequest("\n".join([*wrong, "nothing was written: every line has to be right"]))


def _repair(line: Line, book: DeadLetterBook) -> Repair:
    letter = _letter(line.letter, book)
    if letter.id.view:
        raise BadRequest(f"{letter.id}: {what_helps(letter)}")
    value = _value(line.said)
    if len(value) > EVENT_LIMIT:
        raise BadRequest(f"{letter.id}: {len(value):,} bytes; the log takes {EVENT_LIMIT:,} an event")
    try:
        event = decode(value)
        decode_record(letter.id.tp.topic, event.key, value)
    except Undecodable as error:
        raise BadRequest(f"{letter.id}: {error}") from error
    return Repair(letter, event.key, value)


def _letter(wanted: LetterId, book: DeadLetterBook) -> Letter:
    """The letter that is meant, unresolved."""
    letter = book.letters.get(wanted)
    if letter is None:
        others = [one for name, one in book.letters.items() if name[:2] == wanted[:2] and not wanted.view]
        if not others:
            view = f" of {wanted.view}" if wanted.view else ""
            raise BadRequest(f"there is no letter {wanted}{view}: `shutterlog dlq list` names them")
        letter = others[0]
    if letter.resolution is not None:
        raise BadRequest(f"{letter.id} is {resolved_text(letter)} already")
    return letter


def _value(said: dict[str, Any]) -> bytes:
    name, fields, value = said.get("type"), said.get("event"), said.get("value")
    if fields is not None:
        if not isinstance(name, str) or not isinstance(fields, dict):
            raise BadRequest('"event" is an object, and "type" the name of its class')
        try:
            return encode(event_of(name, fields))
        except NotAnEvent as error:
            raise BadRequest(str(error)) from error
        except ValueError as error:
            raise BadRequest(f"{name}: {error}") from error
    if not isinstance(value, str):
        raise BadRequest('it says no event: give "type" and "event", or "value" in base64')
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise BadRequest(f'"value" is no base64: {error}') from error
