"""A view group: one view, the consumer group of its name, and the sink that its agents apply it to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agents.kafka_source import FETCH_BYTES, KafkaSource
from agents.stores import Stores
from sinks.emitter import ConsumerCommits
from sinks.settings import Settings
from sinks.sink import Sink
from sinks.tables import TableSink
from streams.views import View

EMITTER_WAIT_SECONDS = 0.01
"""Emitters wait for their commits, which the source's thread makes between two fetches."""


@dataclass(frozen=True)
class Group:
    """``open_sink`` opens the sink of one generation; it may wait for stores and raise ``StoreAway``. Where the batch's
    bounds are 0, the settings' hold."""

    view: View[Any]
    open_sink: Callable[[Stores, KafkaSource, int], Awaitable[Sink[Any]]]
    batch_events: int = 0
    batch_wait_seconds: float = 0.0
    partition_fetch_bytes: int = FETCH_BYTES
    """What one fetch brings of one partition, about: the smaller, the more partitions are in a batch of a backlog."""
    bounds: Callable[[Settings], tuple[int, float]] | None = None
    """The same two bounds, where they are settings of the group's own."""
    beside: Callable[[Stores], Awaitable[None]] | None = None
    """What goes on beside the deliveries, for as long as the worker runs."""

    @property
    def name(self) -> str:
        """The view's name, and the consumer group's."""
        return self.view.name

    def bounds_of(self, settings: Settings) -> tuple[int, float]:
        """Records and seconds of a batch at most."""
        if self.bounds is not None:
            return self.bounds(settings)
        return self.batch_events or settings.batch_events, self.batch_wait_seconds or settings.batch_wait_seconds


def emitter_commits(source: KafkaSource, settings: Settings) -> ConsumerCommits:
    """The committed offsets of the group that ``source`` reads for, which are an emitter's fences."""
    source.commits_for_monitors = False
    return ConsumerCommits(source.consumer, settings, run=source.on_thread, holds=source.holds, moved=source.committed)


def table_group(view: View[Any]) -> Group:
    """A group whose view is rows in Cassandra."""

    async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> Sink[Any]:
        return TableSink(await stores.cassandra(), view.name, generation, await stores.topic_ids())

    return Group(view, open_sink)
