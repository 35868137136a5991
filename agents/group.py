"""A view group: one view, the consumer group of its name, and the sink that its agents apply it to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.sink import Sink
from sinks.tables import TableSink
from streams.views import View

GENERATION = 1
"""The live generation; replay (issue 4) will read it from the log."""


@dataclass(frozen=True)
class Group:
    """``open_sink`` may wait for stores and raise ``StoreAway``. ``batch_events`` is 0 for the settings' own."""

    view: View[Any]
    open_sink: Callable[[Stores, KafkaSource], Awaitable[Sink[Any]]]
    batch_events: int = 0

    @property
    def name(self) -> str:
        """The view's name, and the consumer group's."""
        return self.view.name


def table_group(view: View[Any]) -> Group:
    """A group whose view is rows in Cassandra."""

    async def open_sink(stores: Stores, source: KafkaSource) -> Sink[Any]:
        return TableSink(await stores.cassandra(), view.name, GENERATION, await stores.topic_ids())

    return Group(view, open_sink)
