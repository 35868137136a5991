"""The supervisor on real processes: what is asked of a program while it is still about to stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.services import pids
from jobs.services.home import Home
from jobs.services.programs import Program
from jobs.services.supervisor import Supervisor

SLOW = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), exit()))
print("up", flush=True)
while True:
    time.sleep(9)
"""
"""It takes a second to stop."""
DEADLINE = 30.0


def slow(home: Home, **environment: str) -> Program:
    """The slow program."""
    script = home.conf / "slow.py"
    script.write_text(SLOW)
    return Program("slow", [sys.executable, str(script)], environment=environment)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    home = Home.at(tmp_path / "home")
    home.create()
    made = Supervisor(home)
    made.apply([slow(home)])
    runs(made, 1)
    yield made
    made.shut_down()
    assert not pids.belonging(home)


def runs(supervisor: Supervisor, lives: int) -> int:
    """Wait until the program has come up so many times, and runs; its pid."""
    log, deadline = supervisor.home.log("slow"), time.monotonic() + DEADLINE
    while True:
        state = supervisor.states()["slow"]
        if state.state == "running" and state.pid and log.read_text().count("up") == lives:
            return state.pid
        assert time.monotonic() < deadline, state
        time.sleep(0.05)


def test_a_start_waits_for_the_stop_before_it(supervisor: Supervisor) -> None:
    before = runs(supervisor, 1)
    supervisor.stop_program("slow")
    assert supervisor.states()["slow"].state == "stopping"
    supervisor.start_program("slow")
    assert runs(supervisor, 2) != before


def test_so_does_a_change(supervisor: Supervisor) -> None:
    before = runs(supervisor, 1)
    supervisor.stop_program("slow")
    assert supervisor.states()["slow"].state == "stopping"
    supervisor.apply([slow(supervisor.home, OTHER="1")])
    assert runs(supervisor, 2) != before


def test_what_runs_is_left_alone_by_a_start(supervisor: Supervisor) -> None:
    before = runs(supervisor, 1)
    supervisor.start_program("slow")
    assert runs(supervisor, 1) == before
