"""Records of the log, and micro-batches of them, as projections and sinks see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.events import Event


class TopicPartition(NamedTuple):
    """One partition of the log. ``topic`` is its name in the design, without a world's prefix."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Record(NamedTuple):
    """One decoded record. ``timestamp`` is the broker's, in ms."""

    tp: TopicPartition
    offset: int
    timestamp: int
    event: Event


class Span(NamedTuple):
    """How far one micro-batch moves one partition.

    ``prior`` is the last offset before the batch, as the agent believes its sinks have applied it (-1 for none);
    ``last`` the highest offset that counts as applied once the batch is. An idle call has ``prior == last``.
    """

    prior: int
    last: int


Spans = Mapping[TopicPartition, Span]


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch: records in offset order within each partition, and what it moves."""

    records: Sequence[Record]
    spans: Spans
