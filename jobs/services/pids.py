"""Pids: who is alive, who belongs to a home, and ending them for certain."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from jobs.services.home import Home, read_json, write_json

MARK = "SHUTTERLOG_PROGRAM"
"""In the environment of all that the supervisor starts, and so of what those start in turn."""


def born(pid: int) -> int | None:
    """When ``pid`` was started, in clock ticks since boot; None where it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int) -> bool:
    """Whether ``pid`` runs."""
    return born(pid) is not None


def record(home: Home, running: dict[str, int]) -> None:
    """Note the pids of running programs, with their time of birth since pids are used again."""
    births = {name: [pid, born(pid)] for name, pid in running.items()}
    write_json(home.run / "pids.json", {name: pair for name, pair in births.items() if pair[1] is not None})


def belonging(home: Home) -> dict[int, str]:
    """Every live program of ``home``: those recorded, and those that carry its mark, whoever started them."""
    found: dict[int, str] = {}
    for name, (pid, birth) in read_json(home.run / "pids.json").items():
        if birth is not None and born(pid) == birth:
            found[pid] = name
    place = f"SHUTTERLOG_HOME={home.root}".encode()
    mark = f"{MARK}=".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        marked = next((variable for variable in variables if variable.startswith(mark)), None)
        if marked is not None and place in variables and is_alive(int(entry.name)):
            found.setdefault(int(entry.name), marked.removeprefix(mark).decode())
    return found


def end(pids: Iterable[int], patience: float = 20.0) -> list[int]:
    """Ask ``pids`` to stop, then kill what has not; returns those that outlived even that."""
    left = [pid for pid in pids if is_alive(pid)]
    for order, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid in left:
            try:
                os.kill(pid, order)
            except ProcessLookupError:
                continue
        left = wait_gone(left, seconds)
        if not left:
            break
    return left


def wait_gone(pids: Iterable[int], seconds: float) -> list[int]:
    """Wait until all of ``pids`` are gone, at most ``seconds``; returns those still there."""
    deadline = time.monotonic() + seconds
    left = [pid for pid in pids if is_alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if is_alive(pid)]
    return left
