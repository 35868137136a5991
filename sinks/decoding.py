"""Decoding in processes of their own, so that a picture can end a worker but never the agent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sinks.decoding_worker import LENGTH_BYTES, Answer, framed
from sinks.pictures import Rejected, Rendered

TRIES = 3
ANSWER_LIMIT = 256 * 1024 * 1024
"""A longer answer can only come from a worker that a picture has taken over."""
READY_SECONDS = 60.0
BUSY_SHARE = 0.5
"""A picture that used this share of its time on the processor is slow by itself; below it, the machine was."""

_ROOT = Path(__file__).resolve().parent.parent


class DecodePool:
    """Warm worker processes that turn originals into renditions.

    ``workers`` processes; ``seconds`` for one try; ``memory_mib`` of address space (and so of resident memory) each;
    ``program`` is the module that they run, another one in tests.
    Use as ``async with DecodePool(...) as pool``; ``render`` may be called from any number of tasks of that loop.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        memory_mib: int,
        *,
        pixel_limit: int = 60_000_000,
        program: str = "sinks.decoding_worker",
    ) -> None:
        self._seconds = seconds
        self._workers = [_Worker((program, str(memory_mib), str(pixel_limit))) for _ in range(workers)]
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()

    @property
    def peak_memory_mib(self) -> float:
        """The most resident memory that any worker ever reported."""
        return max(worker.peak_kib for worker in self._workers) / 1024

    async def __aenter__(self) -> Self:
        try:
            # All are waited for, or one that fails would leave another one starting after the end.
            starts = await asyncio.gather(*(worker.start() for worker in self._workers), return_exceptions=True)
            for failure in filter(None, starts):
                raise failure
        except BaseException:
            await self._end()
            raise
        for worker in self._workers:
            self._idle.put_nowait(worker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        await asyncio.gather(*(worker.end() for worker in self._workers))

    async def render(self, original: bytes) -> Rendered:
        """The renditions of ``original``.

        A crash, or a timeout that the load of the machine explains, is tried again, ``TRIES`` times in all; a verdict
        of the decoder stands. Raises ``Rejected``; ``RuntimeError`` when workers do not start, whatever the picture.
        """
        for remaining in reversed(range(TRIES)):
            worker = await self._idle.get()
            try:
                return await self._tried(worker, original)
            except Rejected as rejected:
                if not rejected.retryable or not remaining:
                    raise
            finally:
                self._idle.put_nowait(worker)
        raise AssertionError("the last try returns or raises")

    async def _tried(self, worker: _Worker, original: bytes) -> Rendered:
        """One try. The worker is fit for the next one, or ended, whatever happens."""
        if not worker.running:
            await worker.start()
        fresh = not worker.answered
        busy_before = worker.processor_seconds()
        try:
            async with asyncio.timeout(self._seconds):
                answer = await worker.ask(original)
        except TimeoutError:
            busy = worker.processor_seconds() - busy_before
            await worker.end()
            raise Rejected("too_slow", retryable=busy < BUSY_SHARE * self._seconds) from None
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.DecodeError) as error:
            await worker.end()
            raise Rejected("decoder_crashed", retryable=True) from error
        except BaseException:
            await worker.end()
            raise
        if answer.rendered is not None:
            return answer.rendered
        code, reason = answer.rejected or ("decoder_crashed", None)
        if code == "out_of_memory":
            await worker.end()  # its memory may be in pieces; only a fresh worker's verdict counts
        raise Rejected(code, reason, retryable=code == "out_of_memory" and not fresh)


class _Worker:
    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.peak_kib = 0
        self.answered = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        self.answered = 0
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the agent, which then ends its workers
            # One malloc arena: each further thread's would reserve 64 MiB of the address space that is limited.
            env={**os.environ, "MALLOC_ARENA_MAX": "1", "PYTHONPATH": str(_ROOT), "PYTHONWARNINGS": "ignore"},
        )
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._answer()
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self.end()
            raise RuntimeError("a decoding worker does not start; its standard error says why") from error
        except BaseException:
            await self.end()
            raise

    async def ask(self, original: bytes) -> Answer:
        assert self._process is not None and self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(framed(original))
        await self._process.stdin.drain()
        answer = await self._answer()
        self.answered += 1
        self.peak_kib = max(self.peak_kib, answer.peak_kib)
        return answer

    async def _answer(self) -> Answer:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101
        length = int.from_bytes(await self._process.stdout.readexactly(LENGTH_BYTES), "big")
        if length > ANSWER_LIMIT:
            raise msgspec.DecodeError(f"an answer of {length} bytes")
        return msgspec.msgpack.decode(await self._process.stdout.readexactly(length), type=Answer)

    def processor_seconds(self) -> float:
        """Processor time that the worker has used; 0 where the system does not tell (then timeouts are retried)."""
        if self._process is None:
            return 0.0
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def end(self) -> None:
        """Kill the process and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
