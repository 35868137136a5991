"""Ends a worker that stands still while its lag grows: something in it is stuck, and a new process is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Stalled(Exception):
    """The worker stood still too long."""


@dataclass
class Watchdog:
    """Fed with (applied so far, lag) at any pace; ``clock`` gives seconds. Waiting for a store is no stall."""

    seconds: float
    clock: Callable[[], float]
    _still_since: float = field(default=0.0, init=False)
    _applied: int = field(default=-1, init=False)
    _lag: int = field(default=0, init=False)

    def look(self, applied: int, lag: int, waiting: bool) -> None:
        """Raises ``Stalled`` where nothing was applied for ``seconds`` although the lag has grown."""
        now = self.clock()
        if applied != self._applied or waiting or lag == 0:
            self._applied, self._lag, self._still_since = applied, lag, now
        elif now - self._still_since > self.seconds and lag > self._lag:
            raise Stalled(
                f"nothing applied for {now - self._still_since:.0f} s while the lag grew from {self._lag} to {lag}"
            )
