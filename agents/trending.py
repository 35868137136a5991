"""trending: what people turn to now, in Redis."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.trending import TrendSink
from streams.trending import TRENDING as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> TrendSink:
    """The sink over the buckets of ``generation``."""
    redis, topic_ids, settings = await stores.redis(), await stores.topic_ids(), stores.settings
    return TrendSink(
        redis,
        topic_ids,
        generation=generation,
        buckets=settings.buckets,
        least_people=settings.trending_least_people,
    )


BATCH_EVENTS = 2000
"""Each batch moves the fences of every bucket: larger ones pay for that when there is much to do."""
GROUP = Group(VIEW, open_sink, batch_events=BATCH_EVENTS)
