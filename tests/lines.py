"""TCP lines to stores that a test can cut, or let fall silent."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self


class Line:
    """A line to ``target``, on ``port`` of 127.0.0.1 once it is open."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._server: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    @property
    def address(self) -> str:
        """Where the store is, by this line."""
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Let everything through, after a cut on the same port as before."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self._flowing.set()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for end in self._ends:
            end.close()
        await asyncio.gather(*(end.wait_closed() for end in self._ends), return_exceptions=True)
        self._ends.clear()
        self._pumps.clear()

    def silence(self) -> None:
        """Take connections and bytes, and let none of them through, until it is cut or opened."""
        self._flowing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        self._ends += [writer, back]
        self._pumps |= {
            asyncio.create_task(self._pump(reader, back)),
            asyncio.create_task(self._answers(there, writer)),
        }

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while some := await source.read(65536):
            await self._flowing.wait()
            sink.write(some)
        sink.close()

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await self._pump(source, sink)


class KafkaLine(Line):
    """A line to a broker that names itself as being where the line is: clients go to where a broker says it is."""

    async def _answers(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        host, port = self._target
        itself, line = (b"%b%b" % (host.encode(), struct.pack(">i", of)) for of in (port, self.port))
        try:
            while True:
                size = await source.readexactly(4)
                answer = await source.readexactly(int.from_bytes(size))
                await self._flowing.wait()
                sink.write(size + answer.replace(itself, line))
        except asyncio.IncompleteReadError:
            sink.close()


class Aside:
    """A line on an event loop of its own, in a thread: whatever holds up the test's loop, the line does not."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        """As ``Line``."""
        return self._line.address

    async def __aenter__(self) -> Self:
        self._thread.start()
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def open(self) -> None:
        """As ``Line``."""
        await self._there(self._line.open())

    async def cut(self) -> None:
        """As ``Line``."""
        await self._there(self._line.cut())

    async def silence(self) -> None:
        """As ``Line``."""
        self._loop.call_soon_threadsafe(self._line.silence)

    async def _there(self, what: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self._loop))
