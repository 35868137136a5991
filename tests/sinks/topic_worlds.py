"""Topics of one test, and what stands in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic, TopicMetadata

from sinks.settings import Settings
from sinks.topics import Topics


@contextmanager
def provisioned(settings: Settings) -> Iterator[Topics]:
    """The topics of ``settings``, removed afterwards."""
    topics = Topics(settings)
    topics.provision()
    try:
        yield topics
    finally:
        remove_topics(settings)


def make_topic(settings: Settings, topic: str, partitions: int, **config: str) -> None:
    """Make ``topic`` by hand; returns once the broker lists it."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    name = settings.topic(topic)
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result()
    _until(lambda: len(admin.list_topics(timeout=15).topics.get(name, TopicMetadata()).partitions) == partitions)


def remove_topics(settings: Settings) -> None:
    """Remove every topic with the prefix of ``settings``; returns once the broker no longer lists them."""
    assert settings.topic_prefix
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})

    def left() -> list[str]:
        return [name for name in admin.list_topics(timeout=15).topics if name.startswith(settings.topic_prefix)]

    names = left()
    if names:
        for future in admin.delete_topics(names).values():
            future.result()
    _until(lambda: not left())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within 20 s"
        time.sleep(0.05)


def records_of(settings: Settings, topic: str, expected: int) -> list[Message]:
    """The first ``expected`` records of ``topic``, by partition and offset; fails if they do not come in 20 s."""
    config = {"bootstrap.servers": settings.kafka_bootstrap, "group.id": "unused", "enable.auto.commit": False}
    consumer = Consumer(config)
    try:
        consumer.assign([KafkaPartition(settings.topic(topic), n, 0) for n in range(settings.partitions)])
        found = consumer.consume(expected, timeout=20)
    finally:
        consumer.close()
    assert len(found) == expected and not any(message.error() for message in found)
    return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))
