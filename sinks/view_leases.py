"""One at a time: who replays, rolls back or drops a view holds a lease on it, which ends with its process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
import uuid
from types import TracebackType
from typing import Self

from sinks.cassandra import Cassandra
from sinks.errors import StoreAway

logger = logging.getLogger(__name__)

LEASE_SECONDS = 8
_BEAT_SECONDS = 1.5
_LOOK_SECONDS = 0.5

_TAKE = "INSERT INTO view_leases (view_name, owner, beat, who) VALUES (?, ?, 0, ?) IF NOT EXISTS USING TTL ?"
_RENEW = "UPDATE view_leases USING TTL ? SET owner = ?, beat = ?, who = ? WHERE view_name = ? IF owner = ?"
_LEAVE = "DELETE FROM view_leases WHERE view_name = ? IF owner = ?"


class LeaseHeld(RuntimeError):
    """Somebody else is at work on this view."""


class LeaseLost(RuntimeError):
    """The lease was not renewed in time: somebody else may be at work on this view by now."""


class ViewLease:
    """An async context: entered once nobody else is at work on ``view``.

    A lease whose owner is gone (``kill -9``) ends by itself within ``seconds``; entering waits for that, and raises
    ``LeaseHeld`` as soon as its owner shows a sign of life. Raises ``StoreAway``.
    """

    def __init__(self, cassandra: Cassandra, view: str, what: str, seconds: int = LEASE_SECONDS) -> None:
        self._cassandra, self._view, self._seconds = cassandra, view, seconds
        self._owner = uuid.uuid4().hex
        self._who = f"{what}, process {os.getpid()} on {socket.gethostname()}"
        self._beat = 0
        self._renewed = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        first: tuple[str, int] | None = None
        deadline = time.monotonic() + 2 * self._seconds
        while True:
            began = time.monotonic()
            params = (self._view, self._owner, self._who, self._seconds)
            held = (await self._cassandra.execute(_TAKE, params))[0]
            if held.applied:
                break
            if first is None:
                first = (held.owner, held.beat)
            if (held.owner, held.beat) != first or time.monotonic() > deadline:
                raise LeaseHeld(f"somebody is at work on {self._view} already: {held.who}")
            await asyncio.sleep(_LOOK_SECONDS)
        self._renewed = began
        self._beating = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        with contextlib.suppress(StoreAway):  # then it ends by itself
            await self._cassandra.execute(_LEAVE, (self._view, self._owner))

    def check(self) -> None:
        """Raise ``LeaseLost`` where it may have ended."""
        if time.monotonic() > self._renewed + self._seconds - 1:
            raise LeaseLost(
                f"the lease on {self._view} could not be renewed within {self._seconds} s: Cassandra was away, or this "
                "process stood still. Nothing is lost: run the command again, and it goes on."
            )

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            began = time.monotonic()
            self._beat += 1
            params = (self._seconds, self._owner, self._beat, self._who, self._view, self._owner)
            try:
                renewed = (await self._cassandra.execute(_RENEW, params))[0].applied
            except StoreAway as away:
                logger.warning("the lease on %s is not renewed yet: %s", self._view, away)
                continue
            if not renewed:
                self._renewed = float("-inf")
                return
            self._renewed = began
