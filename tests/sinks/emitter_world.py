"""What emitters' tests stand on: fakes of the broker's side, and the log of one test in a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import decode
from schemas.events import Event
from sinks.emitter import ConsumerCommits, MemoryCommits
from sinks.errors import StoreAway
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import Record, Span, Spans, TopicPartition


class Broker:
    """A producer whose log is a list. ``away`` says how many calls from now on fail, having written all or nothing."""

    def __init__(self) -> None:
        self.log: list[Event] = []
        self.away = 0
        self.writes_when_away = False

    async def produce_many(self, events: Sequence[Event]) -> list[tuple[TopicPartition, int]]:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            if self.writes_when_away:
                self.log += events
            raise StoreAway("the broker does not answer")
        first = len(self.log)
        self.log += events
        return [(TopicPartition(event.TOPIC, 0), first + n) for n, event in enumerate(events)]


class FailingCommits(MemoryCommits):
    """Commits that fail ``failures`` times: the worker then ends between the acknowledgement and the commit."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.seen: list[dict[TopicPartition, int]] = []

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreAway("the coordinator does not answer")
        self.seen.append(dict(offsets))
        await super().commit(offsets)


def spans_of(records: Sequence[Record], fences: Mapping[TopicPartition, int]) -> Spans:
    """What a batch of ``records`` moves, for an agent that believes in ``fences``."""
    return {record.tp: Span(fences.get(record.tp, -1), record.offset) for record in records}


class Log:
    """A test's own topics. Everything here blocks."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics(settings)
        self.topics.provision()

    def member(self, group: str, topics: Collection[str]) -> Consumer:
        """A member of ``group`` to which all partitions of ``topics`` are assigned."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap,
                "group.id": self.settings.topic(group),
                "session.timeout.ms": 6000,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.subscribe([self.settings.topic(topic) for topic in topics])
        wanted = len(topics) * self.settings.partitions
        for _ in range(300):
            consumer.poll(0.1)
            if len(consumer.assignment()) == wanted:
                return consumer
        raise AssertionError(f"{group} was not assigned its {wanted} partitions")

    def commits(self, member: Consumer) -> ConsumerCommits:
        """The offsets of the group of ``member``."""
        return ConsumerCommits(member, self.settings)

    def records(self, *topics: str) -> list[Record]:
        """All that is in ``topics``, by partition and offset: twice the same list, however it was fetched."""
        ends = {tp: end for tp, end in self.topics.ends().items() if tp.topic in topics and end >= 0}
        prefix = len(self.settings.topic_prefix)
        consumer = Consumer(
            {"bootstrap.servers": self.settings.kafka_bootstrap, "group.id": f"{self.settings.topic_prefix}nobody"}
        )
        read: list[Record] = []
        try:
            consumer.assign(
                [KafkaPartition(self.settings.topic(tp.topic), tp.partition, OFFSET_BEGINNING) for tp in ends]
            )
            while ends:
                for message in consumer.consume(1000, 0.1):
                    assert message.error() is None, message.error()
                    topic, partition, offset = message.topic(), message.partition(), message.offset()
                    assert topic is not None and partition is not None and offset is not None
                    tp = TopicPartition(topic[prefix:], partition)
                    read.append(Record(tp, offset, message.timestamp()[1], decode(message.value() or b"")))
                    if ends.get(tp) == offset:
                        del ends[tp]
        finally:
            consumer.close()
        return sorted(read, key=lambda record: (record.tp, record.offset))
