"""Records that replay met and passed over while it built a generation: counted once, however often it was killed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sinks.cassandra import Cassandra
from streams.records import TopicPartition

ERROR_LIMIT = 1000
"""Characters kept of an error."""
_AT_ONCE = 50

_PUT = (
    "INSERT INTO replay_poison (view_name, generation, topic, partition, record_offset, refused, error) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_ALL = (
    "SELECT topic, partition, record_offset, refused, error FROM replay_poison WHERE view_name = ? AND generation = ?"
)
_FORGET = "DELETE FROM replay_poison WHERE view_name = ? AND generation = ?"


class Poison(NamedTuple):
    """A record that was passed over. ``refused``: by the view; else it cannot be decoded."""

    tp: TopicPartition
    offset: int
    refused: bool
    error: str

    def __str__(self) -> str:
        return f"{self.tp}@{self.offset} {'was refused' if self.refused else 'cannot be decoded'}: {self.error}"


class Met(NamedTuple):
    """How many of both kinds, and the first few."""

    undecodable: int
    refused: int
    first: list[Poison]


class PoisonBook:
    """What was met while ``generation`` of ``view`` was built."""

    def __init__(self, cassandra: Cassandra, view: str, generation: int) -> None:
        self._cassandra, self._key = cassandra, (view, generation)

    async def put(self, met: Sequence[Poison]) -> None:
        """Keep them, before the fences pass them. Again for the same record: no effect. Raises ``StoreAway``."""
        for start in range(0, len(met), _AT_ONCE):
            await self._cassandra.apply_batch(
                (_PUT, (*self._key, *one.tp, one.offset, one.refused, one.error[:ERROR_LIMIT]))
                for one in met[start : start + _AT_ONCE]
            )

    async def met(self, most: int = 5) -> Met:
        """All that is known; ``most`` of them in full. Raises ``StoreAway``."""
        undecodable = refused = 0
        first: list[Poison] = []
        async for page in self._cassandra.pages(_ALL, self._key):
            for row in page:
                refused += row.refused
                undecodable += not row.refused
                if len(first) < most:
                    tp = TopicPartition(row.topic, row.partition)
                    first.append(Poison(tp, row.record_offset, row.refused, row.error))
        return Met(undecodable, refused, first)

    async def forget(self) -> None:
        """The generation is dropped."""
        await self._cassandra.execute(_FORGET, self._key)
