"""story_tray: whose stories stand above whose feed, in Redis, by the home feed's sink."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.home_feed import HomeFeedSink
from sinks.story_tray import tray_sink
from streams.story_tray import STORY_TRAY as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> HomeFeedSink:
    """The sink over the buckets of ``generation``."""
    return tray_sink(await stores.redis(), stores.settings, await stores.topic_ids(), generation)


GROUP = Group(VIEW, open_sink)
