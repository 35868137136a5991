"""Reading the DLQ topics to their end, as they are now, into letters."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.events import TOPICS
from sinks.dead_letters_fold import DeadLetterBook, DeadRecord, fold
from sinks.errors import StoreAway
from sinks.generations import Generations
from sinks.producer import failure
from sinks.settings import Settings
from sinks.topics import DLQ_SUFFIX
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
_AT_ONCE = 5_000
_STALLED_SECONDS = 30.0

Moved = Callable[[int, int], None]
"""(records read, records in all, about)."""


class DeadLetterLog:
    """Reads the DLQs of one world. Blocks: call it through ``asyncio.to_thread``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(
        self,
        generations: Mapping[str, Generations],
        topics: Collection[str] = TOPICS,
        *,
        moved: Moved | None = None,
    ) -> DeadLetterBook:
        """The letters of ``topics`` (names without ``.dlq``) as they are now. ``generations`` are what
        ``sinks.generations.GenerationLog.read`` gives: they say which refusals a replay has made good.

        Raises ``StoreAway`` and ``TopicMissing``.
        """
        return fold(self._records(topics, moved), generations)

    def _records(self, topics: Collection[str], moved: Moved | None) -> Iterable[DeadRecord]:
        settings = self._settings
        consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "dlq",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",  # a DLQ may have been purged from its beginning on
                # A resolution and the repaired event are one transaction: half of it is nothing.
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "error_cb": lambda error: logger.warning("dlq: %s", error),
            }
        )
        try:
            names = [settings.topic(topic + DLQ_SUFFIX) for topic in topics]
            left = {(name, n) for name in names for n in range(self._partitions(consumer, names))}
            consumer.assign([KafkaPartition(name, n, 0) for name, n in left])
            if moved is None:
                yield from self._to_end(consumer, left, lambda read: None)
            else:
                total, tell = _total(consumer, left), moved
                yield from self._to_end(consumer, left, lambda read: tell(read, total))
        except KafkaException as error:
            raise failure(error.args[0]) from error
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer, names: Collection[str]) -> int:
        known = consumer.list_topics(timeout=15).topics
        for name in names:
            if name not in known:
                raise failure(KafkaError(KafkaError._UNKNOWN_TOPIC, f"no topic {name}"))
        return self._settings.partitions

    def _to_end(
        self, consumer: Consumer, left: set[tuple[str, int]], moved: Callable[[int], None]
    ) -> Iterable[DeadRecord]:
        read, last_move = 0, time.monotonic()
        while left:
            messages = consumer.consume(_AT_ONCE, timeout=0.1)
            if messages:
                last_move = time.monotonic()
            elif time.monotonic() - last_move > _STALLED_SECONDS:
                raise StoreAway(f"Kafka gave no record of the DLQs for {_STALLED_SECONDS:.0f} s")
            for message in messages:
                error = message.error()
                if error is None:
                    read += 1
                    yield _dead_record(message, len(self._settings.topic_prefix))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard((message.topic() or "", message.partition() or 0))
                else:
                    raise KafkaException(error)
            moved(read)


def _total(consumer: Consumer, partitions: Collection[tuple[str, int]]) -> int:
    total = 0
    for name, number in partitions:
        low, high = consumer.get_watermark_offsets(KafkaPartition(name, number), timeout=15)
        total += high - low
    return total


def _dead_record(message: Message, prefix: int) -> DeadRecord:
    headers = cast(list[tuple[str, bytes | None]], message.headers() or [])
    return DeadRecord(
        TopicPartition((message.topic() or "")[prefix:], message.partition() or 0),
        message.offset() or 0,
        message.key(),
        message.value(),
        {name: value or b"" for name, value in headers},
    )
