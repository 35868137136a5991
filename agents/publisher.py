"""publisher: an emitter. A post whose media are all ready is published; one with a rejected file is rejected."""

from __future__ import annotations

from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.publishing import PublisherSink, PublishingMemory, RememberedCommits
from sinks.tables import TableSink
from streams.publishing import PUBLISHER as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> PublisherSink:
    """The sink, whose memory of halves that wait for each other is in Cassandra."""
    cassandra = await stores.cassandra()
    stored = TableSink(cassandra, VIEW.name, generation, await stores.topic_ids())
    commits = RememberedCommits(emitter_commits(source, stores.settings), stored)
    return PublisherSink(PublishingMemory(cassandra), await stores.producer(), commits)


GROUP = Group(VIEW, open_sink, batch_wait_seconds=EMITTER_WAIT_SECONDS)
