"""counters: how many like each post, in Redis."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.counters import CounterSink
from streams.counters import COUNTERS as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> CounterSink:
    """The sink over the buckets of ``generation``."""
    redis, topic_ids = await stores.redis(), await stores.topic_ids()
    return CounterSink(redis, topic_ids, generation=generation, buckets=stores.settings.buckets)


BATCH_EVENTS = 4000
"""Each batch moves the fences of every bucket: larger ones pay for that when there is much to do."""
GROUP = Group(VIEW, open_sink, batch_events=BATCH_EVENTS)
