"""``python -m jobs.bench_live_client``: many live streams in one process.

Reads one JSON line (``port``, ``steady`` and ``losing``: people's tokens, ``losses``: how often each of ``losing`` lets
its connection go), writes ``{"connected": n}``, begins to lose at the next line, and at
one with the number of all notices waits for these and writes what came: for each person [number, moment] pairs, the
moment by the clock that all processes share.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any, cast

import uvloop

_HOSTS = 20_000
"""Connections from one source address: an address has some 28,000 ports."""
_AT_ONCE = 64
"""Connections that are being made."""
_DRAIN_SECONDS, _AFTER_SECONDS = 30.0, 1.0
"""How long to wait for what is still to come, at most, and then for what should not."""


class Device(asyncio.Protocol):
    """One connection of one person, which goes on where the one before it was lost."""

    def __init__(self, person: Listening) -> None:
        self._person = person
        self._left = b""
        self._id = self._data = ""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop's word."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is of a class of its own
        last = f"Last-Event-ID: {self._person.last_id}\r\n" if self._person.last_id else ""
        head = f"GET /api/v1/live HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {self._person.token}\r\n{last}\r\n"
        self.transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        """The event loop's word. Lines of the chunked encoding say nothing here, and are passed over."""
        *lines, self._left = (self._left + data).split(b"\n")
        for line in lines:
            name, _, value = line.rstrip(b"\r").decode().partition(": ")
            if name == "id":
                self._id = value
            elif name == "data":
                self._data = value
            elif not name and self._id:
                self._person.came(self._id, self._data)
                self._id = self._data = ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop's word."""
        self._person.lost.set()


class Listening:
    """One person."""

    def __init__(self, port: int, token: str, number: int) -> None:
        self.token, self.last_id = token, ""
        self.got: list[tuple[int, float]] = []
        self.placed, self.lost = asyncio.Event(), asyncio.Event()
        self._device: Device
        self._port, self._source = port, f"127.0.0.{1 + number // _HOSTS}"

    async def connect(self) -> None:
        """A connection, once the first place has come."""
        self.placed.clear()
        self.lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        _, self._device = await loop.create_connection(
            lambda: Device(self), "127.0.0.1", self._port, local_addr=(self._source, 0)
        )
        async with asyncio.timeout(60):
            await self.placed.wait()

    def came(self, event_id: str, data: str) -> None:
        """A whole event."""
        self.last_id = event_id
        self.placed.set()
        if data:
            self.got.append((int(json.loads(data)["comment_id"]), time.perf_counter()))

    async def lose(self, times: int, seconds: float) -> None:
        """Let the connection go so often, at random moments, and come again."""
        chance = random.Random(self.token)  # noqa: S311
        for _ in range(times):
            await asyncio.sleep(chance.random() * 2 * seconds / times)
            self._device.transport.abort()
            await self.lost.wait()
            await self.connect()


async def _main() -> None:
    told: dict[str, Any] = json.loads(await asyncio.to_thread(sys.stdin.readline))
    steady = [Listening(told["port"], token, n) for n, token in enumerate(told["steady"])]
    losing = [Listening(told["port"], token, n) for n, token in enumerate(told["losing"])]
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def connect(one: Listening) -> None:
        async with at_once:
            await one.connect()

    await asyncio.gather(*(connect(one) for one in (*steady, *losing)))
    print(json.dumps({"connected": len(steady)}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    losses = [asyncio.create_task(one.lose(told["losses"], told["seconds"])) for one in losing]
    expected = int(await asyncio.to_thread(sys.stdin.readline))
    await asyncio.gather(*losses)
    deadline = time.monotonic() + _DRAIN_SECONDS
    while sum(len(one.got) for one in (*steady, *losing)) < expected and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    await asyncio.sleep(_AFTER_SECONDS)  # for what comes twice
    ended = sum(one.lost.is_set() for one in steady)
    came = {"steady": [one.got for one in steady], "losing": [one.got for one in losing], "ended": ended}
    print(json.dumps(came), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
