"""saga: an emitter. What an event of one person's entails in another aggregate, as events of its own."""

from __future__ import annotations

from agents.group import EMITTER_WAIT_SECONDS, Group, emitter_commits
from agents.kafka_source import KafkaSource
from agents.stores import Stores
from sinks.publishing import RememberedCommits
from sinks.saga import MEMORY, SagaMemory, SagaSink
from sinks.tables import TableSink
from streams.saga import SAGA as VIEW


async def open_sink(stores: Stores, source: KafkaSource, generation: int) -> SagaSink:
    """The sink, whose memory of people and pairs is in Cassandra."""
    cassandra = await stores.cassandra()
    stored = TableSink(cassandra, MEMORY, generation, await stores.topic_ids())
    commits = RememberedCommits(emitter_commits(source, stores.settings), stored)
    return SagaSink(SagaMemory(cassandra), await stores.producer(), commits)


GROUP = Group(VIEW, open_sink, batch_wait_seconds=EMITTER_WAIT_SECONDS)
