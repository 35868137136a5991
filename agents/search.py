"""search: people, hashtags, places and captions in an index that gateways read from the same folder."""

from __future__ import annotations

from agents.group import Group
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.person_keys import PersonKeys
from sinks.search import SearchSink
from streams.search import SEARCH as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> SearchSink:
    """The sink; names are opened with the keys in Cassandra."""
    keys = PersonKeys(await stores.cassandra())
    return SearchSink(stores.settings, keys, generation, await stores.topic_ids())


GROUP = Group(VIEW, open_sink, bounds=lambda settings: (settings.search_batch_events, settings.search_batch_seconds))
