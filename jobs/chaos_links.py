"""A link between the product and one store, on the loopback, that can be cut, silenced and slowed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

_CHUNK = 65_536
_HOST = "127.0.0.1"


class Link:
    """Forwards connections from a port of its own to ``target``. An async context manager; for one event loop."""

    def __init__(self, name: str, target: int, port: int = 0) -> None:
        """``port`` is where it listens; 0 for any."""
        self.name, self.target, self.port = name, target, port
        self.opened = self.severed = self.refused = self.held = self.delayed = 0
        """Connections made, broken by a cut, refused while cut; chunks held back by silence, and slowed."""
        self._cut = False
        self._delay = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, _HOST, self.port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.restore()
        self._server.close()
        self._abort()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        """Break every connection and refuse new ones, until ``restore``."""
        self._cut = True
        self.severed += self._abort()

    def silence(self) -> None:
        """Forward nothing, as when cables are pulled: nobody is told, and what is sent arrives after ``restore``."""
        self._flowing.clear()

    def slow(self, seconds: float) -> None:
        """Hold each chunk, either way, for ``seconds``."""
        self._delay = seconds

    def restore(self) -> None:
        """As before."""
        self._cut, self._delay = False, 0.0
        self._flowing.set()

    def _abort(self) -> int:
        writers = tuple(self._writers)
        for writer in writers:
            writer.transport.abort()
        return len(writers) // 2

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - streams run this in a task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self._cut:
                self.refused += 1
                writer.transport.abort()
                return
            try:
                far_reader, far_writer = await asyncio.open_connection(_HOST, self.target, limit=_CHUNK)
            except OSError:
                writer.transport.abort()
                return
            self.opened += 1
            self._writers |= {writer, far_writer}
            try:
                if self._cut:  # while the far side was being reached
                    writer.transport.abort()
                    far_writer.transport.abort()
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                self._writers -= {writer, far_writer}
                for end in (writer, far_writer):
                    end.transport.abort()
        except asyncio.CancelledError:
            return  # the link is closing: streams would report it as an error

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the sender has no more to say; then the receiver is told so. Breaks both ways when one breaks."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if not self._flowing.is_set():
                    self.held += 1
                    await self._flowing.wait()
                if self._delay:
                    self.delayed += 1
                    await asyncio.sleep(self._delay)
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            return
        writer.transport.abort()
