"""What can go wrong at the edge of a store, as types: each has exactly one answer in ``deliver``."""

from __future__ import annotations

from collections.abc import Mapping

from streams.records import TopicPartition


class StoreAway(Exception):
    """The store cannot be reached now. Retry later; nothing is known of what was applied."""


class FenceBehind(Exception):
    """A store holds less than the agent believes it applied: it lost data, was restored or was flushed.

    ``positions`` says for each partition the offset that the sinks still hold (-1 for none): seek there.
    """

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        super().__init__(", ".join(f"{tp} is at {offset}" for tp, offset in positions.items()))
        self.positions = dict(positions)


class LogRemade(Exception):
    """A fence belongs to another incarnation of the topic, or lies beyond the log's end. An operator has to decide."""
