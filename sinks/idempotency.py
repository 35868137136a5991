"""What the gateway remembers of its own writes: idempotency keys, and what a person made a moment ago.

Both exist so that a client is never told something else than it was told before: a retry gets the first answer's id,
and media or a post can be named before the views have seen them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from sinks.cassandra import Cassandra


class KeyReused(Exception):
    """The idempotency key was used before, for another request."""


class Claim(NamedTuple):
    """The id and event time (ms) that belong to an idempotency key; ``first`` unless a request made them before."""

    id: int
    at: int
    first: bool


class IdempotencyKeys:
    """(owner, key) → (fingerprint, id, at), kept for 72 h. Raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def claim(self, owner: str, key: str, fingerprint: bytes, proposed_id: int, at: int) -> Claim:
        """The claim of the first request with this key: this one's proposal, or what was recorded then.

        Raises ``KeyReused`` where the recorded fingerprint is another one.
        """
        rows = await self._cassandra.execute(
            "INSERT INTO idempotency (owner, key, fingerprint, id, at) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
            (owner, key, fingerprint, proposed_id, at),
        )
        row = rows[0]
        if row.applied:
            return Claim(proposed_id, at, True)
        if row.fingerprint != fingerprint:
            raise KeyReused
        return Claim(row.id, row.at, False)


class Submission(NamedTuple):
    """A post as its author sent it; ``caption`` is sealed."""

    post_id: int
    author_id: int
    media_ids: list[int]
    caption: bytes
    at: int
    mentions: Sequence[int] = ()
    tagged: Sequence[int] = ()
    hashtags: Sequence[str] = ()
    place: str = ""


_SUBMITTED = ", ".join(Submission._fields)


class Submissions:
    """Who uploaded which media, and the posts of the last 72 h as submitted. Raises ``StoreAway``."""

    def __init__(self, cassandra: Cassandra) -> None:
        self._cassandra = cassandra

    async def add_upload(self, media_id: int, owner_id: int) -> None:
        """Record an upload before it is announced, so that a post can use it at once."""
        await self._cassandra.execute("INSERT INTO uploads (media_id, owner_id) VALUES (?, ?)", (media_id, owner_id))

    async def owners(self, media_ids: Sequence[int]) -> dict[int, int]:
        """Owner by media id, without those that do not exist."""
        found = await asyncio.gather(
            *(
                self._cassandra.execute("SELECT media_id, owner_id FROM uploads WHERE media_id = ?", (media_id,))
                for media_id in media_ids
            )
        )
        return {row.media_id: row.owner_id for rows in found for row in rows}

    async def add_post(self, submission: Submission) -> None:
        """Record a post; again with the same values changes nothing."""
        await self._cassandra.execute(
            f"INSERT INTO submissions ({_SUBMITTED}) VALUES ({', '.join('?' * len(submission))})",  # noqa: S608
            submission,
        )

    async def post(self, post_id: int) -> Submission | None:
        """A post of the last 72 h."""
        rows = await self._cassandra.execute(
            f"SELECT {_SUBMITTED} FROM submissions WHERE post_id = ?",  # noqa: S608
            (post_id,),
        )
        if not rows:
            return None
        row = rows[0]
        said = (row.mentions or (), row.tagged or (), row.hashtags or (), row.place or "")
        return Submission(row.post_id, row.author_id, row.media_ids, row.caption, row.at, *said)
