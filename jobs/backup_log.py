"""Reading the log for a backup: which offsets, and the records between them, exactly as they stand."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from jobs.backup_segments import Kept
from schemas.events import TOPICS
from sinks.errors import StoreAway
from sinks.producer import failure
from sinks.settings import Settings
from sinks.topics import DLQ_SUFFIX
from streams.records import TopicPartition

ORDER = (
    *(topic + DLQ_SUFFIX for topic in TOPICS),
    "activity",
    "notifications",
    "stories",
    "engagement",
    "posts",
    "media",
    "graph",
    "accounts",
)
"""Effects before their causes: the ends of topics are read in this order, one after the other, so that a cut through a
log that grows meanwhile never holds what is emitted without what it came from."""
_AT_ONCE = 10_000
_STALLED_SECONDS = 30.0
_ASK_SECONDS = 15.0
_POLL_SECONDS = 0.1


class LogSource:
    """Reads whole partitions. Blocks. Raises ``StoreAway``, everywhere, when Kafka stops answering."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        config: dict[str, Any] = {**settings.kafka_client, "error_cb": lambda error: None}
        self._admin = AdminClient(config)
        # The first request of a client can get lost, and is sent again after 3 s; this one does not.
        self._reach(self._admin.list_topics)
        self._consumer = Consumer(
            {
                **config,
                "group.id": settings.topic_prefix + "backup",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "check.crcs": True,
                "fetch.wait.max.ms": 10,
                "queued.max.messages.kbytes": 32_768,
            }
        )
        # A topic that it has not heard of before costs a second.
        self._reach(self._consumer.list_topics)

    def _reach(self, ask: Callable[..., Any]) -> None:
        try:
            ask(timeout=_ASK_SECONDS)
        except KafkaException as error:
            raise failure(error.args[0]) from error

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def ends(self, topics: Collection[str] = ORDER) -> dict[TopicPartition, int]:
        """The offset after the last one that is decided (below every open transaction) of each partition."""
        found: dict[TopicPartition, int] = {}
        for topic in topics:
            found.update(self._offsets([topic], OffsetSpec.latest()))
        return found

    def starts(self, topics: Collection[str] = ORDER) -> dict[TopicPartition, int]:
        """The first offset that each partition still holds, or its end."""
        return self._offsets(topics, OffsetSpec.earliest())

    def read(self, tp: TopicPartition, start: int, end: int) -> Generator[Kept]:
        """The records of ``tp`` from ``start`` up to, and without, ``end``."""
        if start >= end:
            return
        topic = self._settings.topic(tp.topic)
        self._consumer.assign([KafkaPartition(topic, tp.partition, start)])
        moved, reached = time.monotonic(), start
        try:
            while reached < end:
                # It waits for all that it is asked for, or for the whole time.
                messages = self._consumer.consume(min(end - reached, _AT_ONCE), timeout=_POLL_SECONDS)
                if messages:
                    moved = time.monotonic()
                elif time.monotonic() - moved > _STALLED_SECONDS:
                    raise StoreAway(f"Kafka gave no record of {tp} for {_STALLED_SECONDS:.0f} s")
                for message in messages:
                    if (message.topic(), message.partition()) != (topic, tp.partition):
                        continue  # what the partition before had still to say
                    error, offset = message.error(), message.offset()
                    if error is not None:
                        reached = max(reached, _eof(error, offset))
                    elif offset is not None and offset >= reached:
                        reached = offset + 1
                        if offset < end:
                            yield kept(message)
        finally:
            self._consumer.unassign()

    def _offsets(self, topics: Collection[str], spec: OffsetSpec) -> dict[TopicPartition, int]:
        asked = {
            KafkaPartition(self._settings.topic(topic), partition): spec
            for topic in topics
            for partition in range(self._settings.partitions)
        }
        futures = self._admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ASK_SECONDS
        )
        prefix = len(self._settings.topic_prefix)
        try:
            return {
                TopicPartition(one.topic[prefix:], one.partition): int(future.result().offset)
                for one, future in futures.items()
            }
        except KafkaException as error:
            raise failure(error.args[0]) from error


def kept(message: Message) -> Kept:
    """A message as a backup keeps it."""
    key, value, headers = message.key(), message.value(), message.headers()
    return Kept(
        message.offset() or 0,
        message.timestamp()[1],
        _raw(key),
        _raw(value),
        tuple((name, _raw(content)) for name, content in headers) if isinstance(headers, list) else (),
    )


def _eof(error: KafkaError, offset: int | None) -> int:
    if error.code() == KafkaError._PARTITION_EOF:
        return offset or 0
    raise failure(error)


def _raw(content: bytes | str | None) -> bytes | None:
    return None if content is None else _bytes(content)


def _bytes(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()
