"""The consumer of a source, and its messages as records of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from agents.positions import RawRecord
from sinks.errors import LogRemade
from sinks.producer import is_fatal
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)


def consumer_of(settings: Settings, group: str, slot: str, partition_fetch_bytes: int) -> Consumer:
    """A static member, in its ``slot``, of ``group``; it commits nothing by itself."""
    return Consumer(
        {
            **settings.kafka_client,
            "group.id": settings.topic_prefix + group,
            "group.instance.id": f"{settings.topic_prefix}{group}.{slot}",
            "client.id": f"{group}.{slot}",
            # `range` alone keeps posts and graph co-partitioned; cooperative-sticky was seen to break it.
            "partition.assignment.strategy": "range",
            "session.timeout.ms": settings.session_timeout_ms,
            "heartbeat.interval.ms": settings.session_timeout_ms // 4,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # An offset that the log no longer has is a loss, and nothing to be passed over.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            # Says where a partition ends, though the last record stands before the end: after a transaction.
            "enable.partition.eof": True,
            # What comes is answered at once; only partitions that are assigned meanwhile wait for it. A stack that
            # stands still is mostly busy with fetches that find nothing.
            "fetch.wait.max.ms": 150,
            "max.partition.fetch.bytes": partition_fetch_bytes,
            # Of all partitions together. The fewer stand there, the sooner each has its turn where there is much to do.
            "queued.max.messages.kbytes": 16_384,
            "queued.min.messages": 20_000,
            "fetch.queue.backoff.ms": 20,
            "error_cb": lambda error: logger.warning("%s: %s", group, error),
        }
    )


def records_of(
    messages: Iterable[Message], settings: Settings, group: str
) -> tuple[list[RawRecord], dict[TopicPartition, int]]:
    """The records, and of partitions that end behind them their last offset. Raises ``LogRemade`` where the log does
    not hold what comes next, and ``KafkaException`` for what this member will not recover from."""
    records = []
    prefix = settings.topic_prefix
    ends: dict[TopicPartition, int] = {}
    for message in messages:
        error = message.error()
        if error is None:
            records.append(_record(message, prefix))
        elif error.code() == KafkaError._PARTITION_EOF:
            tp, end = _place_of(message, prefix)
            ends[tp] = end - 1
        else:
            _judge(message, error, group)
    return records, ends


def _judge(message: Message, error: KafkaError, group: str) -> None:
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise LogRemade(f"{message.topic()}-{message.partition()}: the log has no such offset: {error.str()}")
    if is_fatal(error):  # such as a second member with this one's slot: it will never be given a record again
        raise KafkaException(error)
    logger.warning("%s: %s", group, error.str())


@lru_cache
def _partition(topic: str, partition: int, prefix: str) -> TopicPartition:
    """One and the same each time: to make one anew for each record costs more than to read its value."""
    return TopicPartition(topic.removeprefix(prefix), partition)


def _place_of(message: Message, prefix: str) -> tuple[TopicPartition, int]:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise RuntimeError("librdkafka gave a message that stands nowhere")
    return _partition(topic, partition, prefix), offset


def _record(message: Message, prefix: str) -> RawRecord:
    tp, offset = _place_of(message, prefix)
    headers = message.headers()
    said = tuple(cast(list[tuple[str, bytes]], headers)) if headers else ()
    return RawRecord(tp, offset, message.timestamp()[1], message.key(), message.value(), said)
