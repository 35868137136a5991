"""home_feed: follower sets, timelines and feeds in Redis."""

from __future__ import annotations

import asyncio
import logging

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.errors import StoreAway
from sinks.generations import now_ms
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.home_feed_sleep import Sleepers, Sweep
from streams.home_feed import HOME_FEED as VIEW

logger = logging.getLogger(__name__)
SWEEP_SECONDS = 1.0


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> HomeFeedSink:
    """The sink over the buckets of ``generation``."""
    settings, topic_ids = stores.settings, await stores.topic_ids()
    buckets = await _buckets(stores, topic_ids, generation)
    return HomeFeedSink(buckets, topic_ids, count=settings.buckets, pull_threshold=settings.pull_threshold)


async def _buckets(stores: Stores, topic_ids: dict[str, str], generation: int) -> RedisBuckets:
    settings = stores.settings
    return RedisBuckets(
        await stores.redis(),
        topic_ids,
        generation=generation,
        buckets=settings.buckets,
        cap=settings.feed_cap,
        slack=settings.feed_slack,
    )


async def sweep(stores: Stores) -> None:
    """Put those to sleep who were not seen for long, a few a second."""
    going: tuple[int, Sweep] | None = None
    while True:
        try:
            generation = (await stores.generations())[VIEW.name]
            if going is None or going[0] != generation:
                going = generation, await _sweep(stores, generation)
            fell_asleep = await going[1].step(now_ms())
        except StoreAway as away:
            logger.info("nobody is put to sleep now: %s", away)
        else:
            if fell_asleep:
                logger.info("%d people were not seen for %g days", fell_asleep, stores.settings.inactive_days)
        await asyncio.sleep(SWEEP_SECONDS)


async def _sweep(stores: Stores, generation: int) -> Sweep:
    settings = stores.settings
    sleepers = Sleepers(
        await _buckets(stores, {}, generation),
        count=settings.buckets,
        cap=settings.feed_cap,
        partitions=settings.partitions,
    )
    return Sweep(
        await stores.redis(),
        sleepers,
        generation=generation,
        buckets=settings.buckets,
        inactive_days=settings.inactive_days,
    )


GROUP = Group(VIEW, open_sink, beside=sweep)
