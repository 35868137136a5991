"""Cursors: where a list goes on. Opaque to clients, and good for ever, since they hold an id and no position."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Annotated, NamedTuple

from fastapi import Depends, Query

from api.problems import Problem
from schemas.ids import MAX_ID


def to_cursor(last_id: int) -> str:
    """The cursor of a list that goes on after ``last_id``."""
    return _text_of(last_id.to_bytes(8, "big"))


def from_cursor(cursor: str) -> int:
    """The id in a cursor; raises ``Problem`` 400."""
    raw = _bytes_of(cursor)
    last_id = int.from_bytes(raw, "big")
    if len(raw) != 8 or last_id > MAX_ID or to_cursor(last_id) != cursor:
        detail = "This cursor was not made here. Take `next_cursor` of the previous page as it is, or leave it out."
        raise Problem(400, "invalid-cursor", detail)
    return last_id


def _text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes_of(cursor: str) -> bytes:
    """Nothing where it is not one."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


class RankedCursor(NamedTuple):
    """Where a ranked feed goes on: which one, and the place in it."""

    list_id: int
    place: int


_RANKED = struct.Struct(">BqH")
_RANKED_KIND = 1


def to_ranked_cursor(cursor: RankedCursor) -> str:
    """``cursor`` for clients; of another length than those that hold an id."""
    return _text_of(_RANKED.pack(_RANKED_KIND, cursor.list_id, cursor.place))


def from_feed_cursor(cursor: str) -> int | RankedCursor:
    """What is in a cursor of a feed, of either order; raises ``Problem`` 400."""
    raw = _bytes_of(cursor)
    if len(raw) == _RANKED.size:
        kind, list_id, place = _RANKED.unpack(raw)
        found = RankedCursor(list_id, place)
        if kind == _RANKED_KIND and list_id > 0 and to_ranked_cursor(found) == cursor:
            return found
    return from_cursor(cursor)


CursorText = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the previous page.",
        max_length=64,
        examples=[to_cursor(1_000_000_000_000_000_003)],
    ),
]


async def _cursor(cursor: CursorText = None) -> int | None:
    return None if cursor is None else from_cursor(cursor)


Cursor = Annotated[int | None, Depends(_cursor)]
"""The id after which the list goes on; None for its beginning."""
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
