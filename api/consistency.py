"""Read-your-writes: a read that brings the token of a write waits until the views it reads have passed it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Annotated

from fastapi import Depends, Header

from api.problems import Problem
from api.stores import Opened, Stores
from sinks import consistency
from sinks.errors import StoreAway
from streams.records import TopicPartition

HEADER = "Consistency-Token"
FLIP_SECONDS = 0.25
"""How long to wait for one generation of a view before asking whether it is still the live one."""
Token = dict[TopicPartition, int]


class Freshness:
    """What a reader has to see at least."""

    def __init__(self, stores: Stores, token: Token) -> None:
        self.stores = stores
        """Those of the request."""
        self._token = token

    @property
    def asks_nothing(self) -> bool:
        """Whether any view will do."""
        return not self._token

    async def reach(self, user_id: int, *views: str) -> None:
        """Wait until ``views`` (those parts of them that ``user_id`` reads) hold what the token says.

        Raises ``Problem`` 503 after ``consistency_wait_seconds``.
        """
        if not await self._reached(user_id, *views):
            raise _not_yet()

    async def reach_near(self, user_id: int, feeds: str = "home_feed") -> bool:
        """Wait until ``feeds`` in Redis hold what the token says, or else the follows in Cassandra do: whether the
        feeds do. Redis may be away, or coming back. Raises ``Problem`` 503 where neither does in time.
        """
        near, far = await asyncio.gather(self._holds(user_id, feeds), self._holds(user_id, "follows"))
        if not (near or far):
            raise _not_yet()
        return near

    async def holds(self, user_id: int, *views: str) -> bool:
        """Whether ``views`` hold what the token says, within bounds; not, where a store is away."""
        return all(await asyncio.gather(*(self._holds(user_id, view) for view in views)))

    async def reach_counts(self, user_id: int, topics: Collection[str] = ("engagement",)) -> bool:
        """Wait until the counters hold what the token says of ``topics``: of likes, without any; whether they can be
        asked. Redis may be away.

        Raises ``Problem`` 503 where they are there and do not come as far in time.
        """
        try:
            own = {tp: offset for tp, offset in self._token.items() if tp.topic in topics}
            await Freshness(self.stores, own).reach(user_id, "counters")
        except StoreAway:
            return False
        return True

    async def _holds(self, user_id: int, view: str) -> bool:
        try:
            return await self._reached(user_id, view)
        except StoreAway:
            return False

    async def _reached(self, user_id: int, *views: str) -> bool:
        if not self._token:
            return True
        loop = asyncio.get_running_loop()
        end = loop.time() + self.stores.settings.consistency_wait_seconds
        while True:
            left = end - loop.time()
            fences, seconds = self.stores.fences, min(left, FLIP_SECONDS)
            waits = (fences.wait(view, user_id, self._token, seconds) for view in views)
            if all(await asyncio.gather(*waits)):
                return True
            if left <= FLIP_SECONDS:
                return False
            self.stores.follow_flips()


async def reach_own_profile(stores: Stores, user_id: int) -> None:
    """Wait until the accounts view holds this person's own last change, whether or not they brought its token."""
    token = await stores.credentials.profile_token(user_id)
    if token is not None:
        await Freshness(stores, consistency.parse(token)).reach(user_id, "accounts")


def _not_yet() -> Problem:
    detail = "What you wrote is safe, but this view has not reached it yet. Ask again with the same token in a moment."
    return Problem(503, "not-yet-consistent", detail, retry_after=1)


async def _freshness(
    stores: Opened,
    token: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="As a write answered it: the answer then includes that write.",
            examples=["posts-3-1742"],
            max_length=consistency.LONGEST_TOKEN,
        ),
    ] = None,
) -> Freshness:
    if not token:
        return Freshness(stores, {})
    try:
        return Freshness(stores, consistency.parse(token))
    except ValueError as error:
        detail = f"{HEADER} has to be what a write answered, such as posts-3-1742: {error}"
        raise Problem(400, "invalid-consistency-token", detail) from error


Fresh = Annotated[Freshness, Depends(_freshness)]
"""The reader's consistency token, in a route."""
