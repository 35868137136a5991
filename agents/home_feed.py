"""home_feed: follower sets, timelines and feeds in Redis."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from streams.home_feed import HOME_FEED as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> HomeFeedSink:
    """The sink over the buckets of ``generation``."""
    settings, topic_ids = stores.settings, await stores.topic_ids()
    buckets = RedisBuckets(
        await stores.redis(),
        topic_ids,
        generation=generation,
        buckets=settings.buckets,
        cap=settings.feed_cap,
        slack=settings.feed_slack,
    )
    return HomeFeedSink(buckets, topic_ids, count=settings.buckets, pull_threshold=settings.pull_threshold)


GROUP = Group(VIEW, open_sink)
