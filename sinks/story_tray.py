"""The story tray in Redis: the home feed's buckets, scripts and sink, under keys of its own.

Pushed, and not gathered when it is read: a person follows hundreds, of whom few have a story at any time, and opens the
app more often than those publish. Of 200 followed, 40 of whom have a story, a tray and what is told of its stories take
6.6 ms, against 23 ms from what each of them published; of 1,000 and 200, 29 against 52 (medians, interleaved on a
busy machine). Who has very many followers is pulled, as in the home feed. Nobody sleeps here: a tray is a few hundred
bytes, and nothing has to be made again for who returns.
"""

from __future__ import annotations

from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import TRAYS, RedisBuckets
from sinks.home_feed_reader import HomeFeedReader
from sinks.home_feed_watch import GenerationWatch
from sinks.redis import Redis
from sinks.settings import Settings


def tray_sink(redis: Redis, settings: Settings, topic_ids: dict[str, str], generation: int) -> HomeFeedSink:
    """The sink of one generation of all trays."""
    buckets = RedisBuckets(
        redis,
        topic_ids,
        generation=generation,
        buckets=settings.buckets,
        cap=settings.tray_cap,
        slack=settings.tray_slack,
        feeds=TRAYS,
    )
    threshold = settings.pull_threshold
    return HomeFeedSink(buckets, topic_ids, count=settings.buckets, pull_threshold=threshold, feeds=TRAYS)


def tray_reader(
    redis: Redis, settings: Settings, generation: int, watch: GenerationWatch | None = None
) -> HomeFeedReader:
    """The reader of one generation of all trays; what it calls posts are stories."""
    return HomeFeedReader(redis, generation=generation, buckets=settings.buckets, watch=watch, feeds=TRAYS)
