"""A test that hangs fails and says what it waits for.

A barrier that is never reached would otherwise take the whole run with it, and nobody would learn which one it was.
This asserts nothing about speed: the slowest test needs an eighth of it.
"""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import traceback
from collections.abc import Generator
from types import FrameType

import pytest

PATIENCE_SECONDS = 900
AGAIN_SECONDS = 5
"""Raised inside a callback, asyncio's loop only logs it; one of the next ones finds the loop waiting."""
FRAMES = 10


def waits() -> str:
    """The innermost frames of what the running loop has under way, and of all threads."""
    told = io.StringIO()
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop is running
        tasks = set()
    for task in tasks:
        task.print_stack(limit=FRAMES, file=told)
    for thread, frame in sys._current_frames().items():
        print(f"thread {thread}:", *traceback.format_stack(frame, FRAMES), sep="\n", file=told)
    return told.getvalue()


def _tire(_number: int, _frame: FrameType | None) -> None:
    pytest.fail(f"nothing has come of it for {PATIENCE_SECONDS} s; it waits here:\n{waits()}", pytrace=False)


def go_on() -> None:
    """Something has come of a test that is long by wish: what follows has as much time again."""
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, AGAIN_SECONDS)


def _patiently() -> Generator[None, object, object]:
    before = signal.signal(signal.SIGALRM, _tire)
    go_on()
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Of the fixtures that are made."""
    return (yield from _patiently())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Of the test itself."""
    return (yield from _patiently())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """Of the fixtures that end."""
    return (yield from _patiently())
