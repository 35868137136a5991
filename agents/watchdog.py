"""Ends a worker that stands still while there is work: something in it is stuck, and a new process is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streams.records import TopicPartition

PATIENCE = 5
"""One partition may stand still this many times longer than the whole worker, since others may be before it."""


class Stalled(Exception):
    """The worker, or one of its partitions, stood still too long."""


@dataclass
class Watchdog:
    """Fed with what is applied and what lags, at any pace; ``clock`` gives seconds. Waiting for a store is no stall."""

    seconds: float
    clock: Callable[[], float]
    _seen: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict, init=False)
    _moved: float | None = field(default=None, init=False)

    def look(self, applied: Mapping[TopicPartition, int], lag: Mapping[TopicPartition, int], waiting: bool) -> None:
        """``applied`` is the last offset in the sink. Raises ``Stalled`` where nothing moved for ``seconds`` although
        something lags, or where one partition that lags did not for ``PATIENCE`` times that."""
        now = self.clock()
        seen = {}
        for tp, offset in applied.items():
            before, since = self._seen.get(tp, (None, now))
            still = before == offset and lag.get(tp, 0) > 0 and not waiting
            seen[tp] = (offset, since if still else now)
        self._seen = seen
        lagging = [tp for tp in seen if lag.get(tp, 0) > 0]
        if self._moved is None or not lagging or any(seen[tp][1] == now for tp in seen if lag.get(tp, 0) > 0):
            self._moved = now
        if now - self._moved > self.seconds:
            raise Stalled(f"nothing applied for {now - self._moved:.0f} s with {sum(lag.values())} records to apply")
        for tp in lagging:
            if now - seen[tp][1] > PATIENCE * self.seconds:
                raise Stalled(f"{tp} stands at {seen[tp][0]} since {now - seen[tp][1]:.0f} s, {lag[tp]} records behind")
