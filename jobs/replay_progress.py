"""What long jobs on generations say meanwhile: a bar for each step, with the time left, and a line as it begins."""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bar(quiet: bool) -> Progress:
    """On stderr; ``quiet`` shows no bars, and the lines all the same."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # Without a terminal bars would be printed once, as the job ends.
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=quiet or not console.is_terminal)


class Said:
    """Bars and lines of one job."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def line(self, text: str) -> None:
        """A step begins, or something is worth knowing."""
        self._progress.console.print(text, markup=False)

    def task(self, name: str) -> TaskID:
        """A bar, whose length is not known yet."""
        return self._progress.add_task(name, total=None)

    def done(self, task: TaskID, done: int, of: int) -> None:
        """So many of so many."""
        self._progress.update(task, total=of or 1, completed=done if of else 1)

    def more(self, task: TaskID, count: int) -> None:
        """So many more, of nobody knows how many."""
        self._progress.advance(task, count)

    @contextmanager
    def timed(self, seconds: MutableMapping[str, float], step: str) -> Iterator[None]:
        """Adds what the block took to ``seconds``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - began
