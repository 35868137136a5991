"""facts: every event of every topic as rows of ClickHouse, in large batches, since each is a part on its disk."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.fact_migrations import migrate, show
from sinks.facts import FactSink
from streams.facts import FACTS as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> FactSink:
    """The sink, once its tables are what this build needs, and analysts see this generation."""
    clickhouse = await stores.clickhouse()
    await migrate(clickhouse, generation)
    await show(clickhouse, generation)
    return FactSink(clickhouse, generation, await stores.topic_ids())


GROUP = Group(VIEW, open_sink, bounds=lambda settings: (settings.facts_batch_events, settings.facts_batch_seconds))
