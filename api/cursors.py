"""Cursors: where a list goes on. Opaque to clients, and good for ever, since they hold an id and no position."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import Depends, Query

from api.problems import Problem
from schemas.ids import MAX_ID


def to_cursor(last_id: int) -> str:
    """The cursor of a list that goes on after ``last_id``."""
    return base64.urlsafe_b64encode(last_id.to_bytes(8, "big")).rstrip(b"=").decode()


def from_cursor(cursor: str) -> int:
    """The id in a cursor; raises ``Problem`` 400."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    last_id = int.from_bytes(raw, "big")
    if len(raw) != 8 or last_id > MAX_ID or to_cursor(last_id) != cursor:
        detail = "This cursor was not made here. Take `next_cursor` of the previous page as it is, or leave it out."
        raise Problem(400, "invalid-cursor", detail)
    return last_id


async def _cursor(
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.", max_length=64)] = None,
) -> int | None:
    return None if cursor is None else from_cursor(cursor)


Cursor = Annotated[int | None, Depends(_cursor)]
"""The id after which the list goes on; None for its beginning."""
Limit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
