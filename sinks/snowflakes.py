"""Making Snowflake ids in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from schemas.ids import snowflake

_SEQUENCES = 4096


class SnowflakeMaker:
    """Makes ids that only rise, whatever the clock does. Safe for threads. ``node`` is 0..1023 and used by no other
    process at the same time; ``clock_ms`` gives ms since 1970."""

    def __init__(self, node: int, clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        if not 0 <= node < 1024:
            raise ValueError(f"a node is 0..1023, not {node}")
        self._node = node
        self._clock_ms = clock_ms
        self._at = 0
        self._sequence = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """The next id. Never waits: a clock that stands, went back or is outrun leaves the ids ahead of it."""
        with self._lock:
            now = self._clock_ms()
            if now > self._at:
                self._at, self._sequence = now, 0
            elif self._sequence + 1 < _SEQUENCES:
                self._sequence += 1
            else:
                self._at, self._sequence = self._at + 1, 0
            return snowflake(self._at, self._node, self._sequence)
