"""Real worker processes, and waiting for what they do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from sinks.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
_LOOK_SECONDS = 0.02
_TAIL = 4000


def environment(settings: Settings) -> dict[str, str]:
    """What a process has to be given to read the same ``settings``."""
    named = {name: os.environ[name] for name in KEPT if name in os.environ}
    values = {name: value for name, value in settings.model_dump().items() if value is not None}
    return named | {name.upper(): str(value) for name, value in values.items()}


async def until(what: str, condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait until ``condition`` holds; fails, saying ``what`` never came, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{seconds:.0f} s were not enough: {what}")
        await asyncio.sleep(_LOOK_SECONDS)


class Worker:
    """``python -m agents GROUP... --slot SLOT``, with what it says kept in a file."""

    def __init__(self, settings: Settings, groups: tuple[str, ...], slot: str, folder: Path) -> None:
        self.slot = slot
        self._file = folder / f"{slot}-{time.monotonic_ns()}.log"
        with self._file.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agents", *groups, "--slot", slot],
                env=environment(settings),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        """All that it has logged."""
        return self._file.read_text(errors="replace")

    async def says(self, pattern: str, times: int = 1, seconds: float = 30.0) -> re.Match[str]:
        """Wait until ``pattern`` was logged ``times`` times; the last match."""

        async def heard() -> bool:
            if len(re.findall(pattern, self.said)) >= times:
                return True
            assert self.process.poll() is None, f"{self.slot} ended with {self.process.returncode}"
            return False

        await until(f"{self.slot} says {pattern!r} {times} times", heard, seconds)
        return list(re.finditer(pattern, self.said))[-1]

    async def ends(self, seconds: float = 30.0) -> int:
        """Wait for its end; the exit status."""
        return await asyncio.to_thread(self.process.wait, seconds)

    def send(self, order: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(order)

    async def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        await self.ends()


class Workers:
    """The worker processes of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Worker] = []

    def start(self, settings: Settings, *groups: str, slot: str = "a") -> Worker:
        """Start one; it is not ready yet."""
        worker = Worker(settings, groups, slot, self._folder)
        self.started.append(worker)
        return worker

    def end(self) -> None:
        """End all that still run, by pid, and show the end of what each said (pytest prints it for failed tests)."""
        for worker in self.started:
            with contextlib.suppress(ProcessLookupError):
                worker.send(signal.SIGCONT)
                worker.process.kill()
            worker.process.wait(10)
            print(f"--- {worker.slot} (status {worker.process.returncode}) ---\n{worker.said[-_TAIL:]}")


@contextlib.contextmanager
def worker_processes(folder: Path) -> Iterator[Workers]:
    """Workers that end with the block."""
    workers = Workers(folder)
    try:
        yield workers
    finally:
        workers.end()
