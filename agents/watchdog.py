"""Ends a worker that stands still while there is work: something in it is stuck, and a new process is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streams.records import TopicPartition

PATIENCE = 5
"""One partition may stand still this many times longer than the whole worker, since others may be before it; and so may
a worker whose stores go on to answer: it is slow, and a new one would begin the same batch anew."""
NEAR = 1000
"""Others that move and lag by more records than this are before it for as long as that takes: which partition
librdkafka fetches next is chance while its queue is full."""


class Stalled(Exception):
    """The worker, or one of its partitions, stood still too long."""


@dataclass
class Watchdog:
    """Fed with what is applied and what lags, at any pace; ``clock`` gives seconds. Waiting for a store is no stall."""

    seconds: float
    clock: Callable[[], float]
    _seen: dict[TopicPartition, tuple[int, float]] = field(default_factory=dict, init=False)
    """Of each partition its offset, and when it last moved or had nothing to do."""
    _moved: float | None = field(default=None, init=False)
    _heard: tuple[int, float] = field(default=(0, -math.inf), init=False)

    def look(
        self, applied: Mapping[TopicPartition, int], lag: Mapping[TopicPartition, int], waiting: bool, answers: int = 0
    ) -> None:
        """``applied`` is the last offset in the sink, ``answers`` how many the stores have given so far. Raises
        ``Stalled`` where nothing moved for ``seconds``, nor was anything answered, although something lags; where
        nothing moved for ``PATIENCE`` times that; or where one partition that lags did not, and no other is before it.
        """
        now = self.clock()
        if answers != self._heard[0]:
            self._heard = answers, now
        seen = {}
        for tp, offset in applied.items():
            before, since = self._seen.get(tp, (None, now))
            still = before == offset and lag.get(tp, 0) > 0 and not waiting
            seen[tp] = (offset, since if still else now)
        self._seen = seen
        lagging = [tp for tp in seen if lag.get(tp, 0) > 0]
        if self._moved is None or not lagging or any(seen[tp][1] == now for tp in lagging):
            self._moved = now
        patience = PATIENCE if now - self._heard[1] <= self.seconds else 1
        if now - self._moved > patience * self.seconds:
            raise Stalled(f"nothing applied for {now - self._moved:.0f} s with {sum(lag.values())} records to apply")
        if any(lag[tp] > NEAR and now - seen[tp][1] <= self.seconds for tp in lagging):
            return
        for tp in lagging:
            if now - seen[tp][1] > PATIENCE * self.seconds:
                raise Stalled(f"{tp} stands at {seen[tp][0]} since {now - seen[tp][1]:.0f} s, {lag[tp]} records behind")
