"""How old what a view shows is: the age of the newest state of the log that all of it has reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from agents.positions import RawRecord
from streams.records import TopicPartition

_PLACE_AND_TIME = attrgetter("tp", "timestamp")


class Freshness:
    """Of the partitions that one worker has of one view; times are in seconds since the epoch.

    A partition stands at the time of the last record that was applied, or, where nothing was left to apply, at the time
    of that look: a log in which nothing happens makes nobody old. What the log says of a record's time is the broker's
    (`LogAppendTime`), so neither a wrong clock of a gateway nor an event of long ago counts as age.
    """

    def __init__(self) -> None:
        self._stands_at: dict[TopicPartition, float] = {}

    def fetched(self, records: Sequence[RawRecord]) -> None:
        """These are to be applied next: a partition of which nothing was known is as old as its first record."""
        for tp, timestamp in _times(reversed(records)).items():
            self._stands_at.setdefault(tp, timestamp / 1000)

    def applied(self, records: Sequence[RawRecord]) -> None:
        """These are in the sink."""
        for tp, timestamp in _times(records).items():
            self._stands_at[tp] = max(self._stands_at.get(tp, 0.0), timestamp / 1000)

    def age(self, lag: Mapping[TopicPartition, int], now: float) -> float:
        """Seconds by which the oldest partition is behind; ``lag`` are the records to be applied, of each that this
        worker has now."""
        for tp, records in lag.items():
            if records == 0:
                self._stands_at[tp] = now
        self._stands_at = {tp: at for tp, at in self._stands_at.items() if tp in lag}
        return max((now - at for at in self._stands_at.values()), default=0.0)


def _times(records: Iterable[RawRecord]) -> dict[TopicPartition, int]:
    """Of each partition the time of the last of its ``records``: in C, since all that a worker reads passes here."""
    return dict(map(_PLACE_AND_TIME, records))
