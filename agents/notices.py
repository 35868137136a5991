"""notices: an emitter. What people do becomes what others are told of it, in the topic `notifications`."""

from __future__ import annotations

from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.notices import NoticeSink
from streams.notices import NOTICES as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> NoticeSink:
    """The sink, whose fence is this group's commit, made in the transactions that emit."""
    return NoticeSink(stores.settings, source.slot, emitter_commits(source, stores.settings))


GROUP = Group(VIEW, open_sink, batch_wait_seconds=EMITTER_WAIT_SECONDS)
