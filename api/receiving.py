"""How bodies come in: no larger than they may be, no slower, and not counted as work while they are waited for.

A body is read before anybody knows who sends it, so nothing else limits senders who stop in the middle of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from api.metrics import SHED
from api.problems import Problem, overloaded
from api.shedding import WAITS, Class, Load, admits
from sinks.settings import Settings

BODY_LIMIT = 64 * 1024
"""Bytes of a JSON body. Uploads have their own limit."""


class Bodies:
    """The bodies that a gateway waits for."""

    def __init__(self, settings: Settings, load: Load) -> None:
        """``load`` counts no request whose body is waited for: nothing is done for it meanwhile."""
        self.load = load
        self.seconds, self.silence = settings.body_seconds, settings.upload_silence_seconds
        self.seconds_per_byte = 1 / settings.upload_least_bytes_per_second
        self._most = settings.awaited_bodies_limit
        self._waits: dict[asyncio.Timeout, None] = {}  # whoever has been silent for longest is the first

    async def next(self, receive: Receive, seconds: float) -> Message:
        """What comes within ``seconds``. Raises ``TimeoutError``, also where too many others are waited for."""
        if len(self._waits) >= self._most:
            longest = next(iter(self._waits))
            del self._waits[longest]
            longest.reschedule(0)
        async with asyncio.timeout(seconds) as limit:
            self._waits[limit] = None
            try:
                return await receive()
            finally:
                self._waits.pop(limit, None)


class Body:
    """The body of one request that the load counts."""

    __slots__ = ("_bodies", "_is_counted", "_is_over", "_is_whole", "_left", "_receive", "_size", "_streamed")

    def __init__(self, bodies: Bodies, given: Mapping[bytes, bytes], receive: Receive, *, streamed: bool) -> None:
        """Of a request with the headers ``given``. What is ``streamed`` has any size here, and time in proportion to
        what has come."""
        self._bodies, self._receive, self._streamed = bodies, receive, streamed
        declared = given.get(b"content-length", b"0")
        self._is_whole = declared == b"0" and b"transfer-encoding" not in given
        # A declared length is refused at the first read: only routes that take a body read.
        self._size = int(declared) if declared.isdigit() and int(declared) > BODY_LIMIT and not streamed else 0
        self._left = bodies.silence if streamed else bodies.seconds
        self._is_counted, self._is_over = True, False

    def end(self) -> None:
        """The request is over, and counts no more, whoever still waits for a piece of it."""
        self._bodies.load.in_flight -= self._is_counted
        self._is_counted, self._is_over = False, True

    async def receive(self) -> Message:
        """The next piece. Raises ``Problem``: 408, 413, and 503 where too much is asked once the body is there."""
        if self._is_whole:
            return await self._receive()
        if self._size <= BODY_LIMIT:
            message = await self._next()
            came = len(message.get("body", b""))
            if self._streamed:
                self._left += came * self._bodies.seconds_per_byte
                return message
            self._size += came
            if self._size <= BODY_LIMIT:
                return message
        raise Problem(413, "body-too-large", f"The body may have {BODY_LIMIT} bytes at most. Send less.")

    async def _next(self) -> Message:
        load, clock = self._bodies.load, asyncio.get_running_loop().time
        began, most = clock(), self._bodies.silence if self._streamed else self._bodies.seconds
        load.in_flight -= self._is_counted
        self._is_counted = False
        try:
            message = await self._bodies.next(self._receive, min(self._left, most))
        except TimeoutError as error:
            raise _too_slow() from error
        # Only what is waited for counts: a store that takes an upload slowly is not the sender's fault.
        self._left -= clock() - began
        self._is_whole = not message.get("more_body", False)
        # Many may have been waited for, and be whole at once. What was streamed is not thrown away.
        if self._is_whole and not self._streamed and not admits(Class.WRITES, load.pressure):
            SHED[Class.WRITES].inc()
            raise overloaded(WAITS[Class.WRITES])
        self._is_counted = not self._is_over
        load.in_flight += self._is_counted
        return message


def _too_slow() -> Problem:
    problem = Problem(408, "body-too-slow", "The body did not come in time. Send the same request again.")
    # What is still to come of it would be taken for the next request.
    problem.headers = {"Connection": "close"}
    return problem
