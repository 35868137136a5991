"""affinity: who turns to whose posts, in Redis."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.affinity import AffinitySink
from streams.affinity import AFFINITY as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> AffinitySink:
    """The sink over the buckets of ``generation``."""
    redis, topic_ids, buckets = await stores.redis(), await stores.topic_ids(), stores.settings.buckets
    return AffinitySink(redis, topic_ids, generation=generation, buckets=buckets)


BATCH_EVENTS = 2000
"""Each batch moves the fences of every bucket: larger ones pay for that when there is much to do."""
GROUP = Group(VIEW, open_sink, batch_events=BATCH_EVENTS)
