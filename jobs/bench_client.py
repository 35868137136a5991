"""``python -m jobs.bench_client``: asks for pages over kept connections as fast as they come, or at a rate.

Reads one JSON line (``port``, ``requests``: [path, token] pairs, ``connections``, ``seconds``, ``rate``: pages/s, or 0
for as many as the connections give) and writes one. Made of an event loop's protocol and nothing else, since it shares
a machine of few cores with what it measures; it says what it costs itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import deque
from typing import Any, cast

import uvloop

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class Asker(asyncio.Protocol):
    """One connection; knows only what is left of the answer that it waits for."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._left = 0
        self._head = b""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop's word."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is of a class of its own
        self._load.idle(self)

    def ask(self, request: bytes, due: float) -> None:
        """Send one request, which was due then."""
        self.due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """The event loop's word."""
        if not self._left:
            self._head += data
            head, end, body = self._head.partition(_END)
            if not end:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200"):
                self._load.fail(head + end + body)
                return
            lowered = head.lower()
            at = lowered.index(_LENGTH) + len(_LENGTH)
            self._left = int(lowered[at:].partition(b"\r")[0]) - len(body)
        else:
            self._left -= len(data)
        if not self._left:
            self._load.answered(self.due)
            self._load.idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The event loop's word."""
        self._load.fail(repr(exc).encode())


class Load:
    """What all connections share."""

    def __init__(self, told: dict[str, Any]) -> None:
        lines = [
            f"GET {path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            for path, token in told["requests"]
        ]
        random.Random(1).shuffle(lines)  # noqa: S311
        self._requests = itertools.cycle(lines)
        self._rate = float(told["rate"])
        self._idle: deque[Asker] = deque()
        self._due: deque[float] = deque()
        self.took: list[float] = []
        self.done = asyncio.Event()
        self.failure = b""
        self._ends = False

    def idle(self, asker: Asker) -> None:
        """This connection may be asked with again."""
        if self._ends:
            return
        if not self._rate:
            asker.ask(next(self._requests), time.perf_counter())
        elif self._due:
            asker.ask(next(self._requests), self._due.popleft())
        else:
            self._idle.append(asker)

    def answered(self, due: float) -> None:
        """A page came whole."""
        self.took.append(time.perf_counter() - due)

    def fail(self, why: bytes) -> None:
        """Something else than a page came."""
        if not self._ends:
            self.failure = self.failure or why[:500]
            self.done.set()

    async def run(self, seconds: float) -> None:
        """For so long; at a rate, requests are due at even times, whether or not a connection is free."""
        began = time.perf_counter()
        asked = 0
        while (now := time.perf_counter() - began) < seconds and not self.done.is_set():
            while self._rate and asked < now * self._rate:
                due = began + asked / self._rate
                asked += 1
                if self._idle:
                    self._idle.popleft().ask(next(self._requests), due)
                else:
                    self._due.append(due)
            await asyncio.sleep(0.001 if self._rate else 0.05)
        self._ends = True


async def _main() -> None:
    told = json.loads(sys.stdin.readline())
    load, loop = Load(told), asyncio.get_running_loop()
    began, own = time.perf_counter(), time.process_time()
    for _ in range(told["connections"]):
        await loop.create_connection(lambda: Asker(load), "127.0.0.1", told["port"])
    await load.run(told["seconds"])
    seconds, pages = time.perf_counter() - began, len(load.took)
    if load.failure or not pages:
        raise SystemExit(f"no page came: {load.failure!r}")
    took = sorted(load.took)
    report = {
        "pages": pages,
        "pages_per_second": pages / seconds,
        "p50_ms": took[pages // 2] * 1000,
        "p99_ms": took[min(pages - 1, pages * 99 // 100)] * 1000,
        "client_microseconds": (time.process_time() - own) / pages * 1e6,
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    uvloop.run(_main())
