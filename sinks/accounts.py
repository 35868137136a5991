"""Reads the ``accounts`` view."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec

from schemas.events import RenderedMedia
from sinks.cassandra import Cassandra, Row, in_chunks
from sinks.view_tables import table_name

_COLUMNS = (
    "user_id, username, name, bio, registered_at, links, picture, deactivated, role, verified, erased"  # as in the view
)
_PICTURE = msgspec.json.Decoder(list[RenderedMedia])


class AccountRow(NamedTuple):
    """A person's profile. ``username``, ``name``, ``bio`` and ``links`` (a JSON list) are sealed under their key; a
    ``bio`` or ``links`` never set are empty, and not sealed. ``registered_at`` is in ms.

    Who is ``deactivated`` or ``erased`` is nobody's to see: that is for ``streams.rules`` to say.
    """

    user_id: int
    username: bytes
    name: bytes
    bio: bytes
    registered_at: int
    links: bytes = b""
    picture: RenderedMedia | None = None
    deactivated: bool = False
    role: str = "person"
    verified: bool = False
    erased: bool = False


class AccountReader:
    """Profiles by id."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        table = table_name("accounts", generation)
        self._by_ids = f"SELECT {_COLUMNS} FROM {table} WHERE user_id IN ?"  # noqa: S608

    async def by_ids(self, ids: Collection[int]) -> dict[int, AccountRow]:
        """The accounts among ``ids`` that are registered. Raises ``StoreAway``."""
        rows = await in_chunks(self._cassandra, self._by_ids, ids)
        return {row.user_id: _account(row) for row in rows if row.registered_at is not None}


def _account(row: Row) -> AccountRow:
    pictures = _PICTURE.decode(row.picture) if row.picture else []
    return AccountRow(
        user_id=row.user_id,
        username=row.username,
        name=row.name,
        bio=row.bio or b"",
        registered_at=row.registered_at,
        links=row.links or b"",
        picture=pictures[0] if pictures else None,
        deactivated=bool(row.deactivated),
        role=row.role or "person",
        verified=bool(row.verified),
        erased=bool(row.erased),
    )
