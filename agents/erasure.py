"""erasure: run as an emitter is. What no fold reaches of the erased comes to an end: keys, names, sessions, files."""

from __future__ import annotations

from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.erasure import ErasureSink, Leftovers
from sinks.sessions import Sessions
from streams.erasure import ERASURE as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> ErasureSink:
    """The sink, whose fence is this group's commit."""
    settings, cassandra = stores.settings, await stores.cassandra()
    leftovers = Leftovers(cassandra, Sessions(cassandra, seconds=settings.refresh_token_seconds))
    return ErasureSink(cassandra, leftovers, stores.object_store(), emitter_commits(source, settings))


GROUP = Group(VIEW, open_sink, batch_wait_seconds=EMITTER_WAIT_SECONDS)
