"""What replay reads: the source topics of a view from its fences on, straight from Kafka, without group or commits."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import Undecodable, decode_record
from sinks.errors import LogRemade, StoreAway
from sinks.replay_poison import Poison
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import Record, Span, TopicPartition

logger = logging.getLogger(__name__)

STALLED_SECONDS = 60.0
_FETCHED_KIB = 131_072
Offsets = Mapping[TopicPartition, int]
"""The last offset of each partition; -1 for none."""


class Taken(NamedTuple):
    """A batch as read. ``events`` says how many records the log gave; ``spans`` is what they move."""

    records: list[Record]
    poison: list[Poison]
    spans: dict[TopicPartition, Span]
    events: int


class ReplayLog:
    """Reads ``topics`` in the order of each partition. One call at a time; every call blocks."""

    def __init__(self, settings: Settings, topics: Collection[str]) -> None:
        self._settings = settings
        self._names = frozenset(topics)
        self._topics = Topics(settings)
        self.position: dict[TopicPartition, int] = {}
        """The last offset handed out of each partition."""
        self.at_end: set[TopicPartition] = set()
        """The partitions whose end was reached since they were placed: all that was there then was handed out."""
        self._placed: dict[tuple[str | None, int | None], TopicPartition] = {}
        self._spoke = time.monotonic()
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "replay",  # librdkafka wants one; nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "queued.max.messages.kbytes": _FETCHED_KIB,
                "error_cb": lambda error: logger.warning("replay: %s", error),
            }
        )

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def ends(self) -> dict[TopicPartition, int]:
        """The last offset of each partition as it is now; -1 for none. Raises ``StoreAway``."""
        return {tp: end for tp, end in self._topics.ends().items() if tp.topic in self._names}

    def place(self, fences: Offsets) -> None:
        """Read on from these fences. Raises ``LogRemade`` where the log does not hold what comes after them."""
        ends, starts = self._topics.ends(), self._topics.starts()
        for tp, fence in fences.items():
            if fence > ends[tp]:
                raise LogRemade(
                    f"{tp} ends at offset {ends[tp]}, but up to {fence} is applied: the log was cut or remade"
                )
            if fence + 1 < starts[tp]:
                raise LogRemade(f"{tp} begins at offset {starts[tp]}, but replay needs it from {fence + 1} on")
        self.position = dict(fences)
        self._placed = {(self._settings.topic(tp.topic), tp.partition): tp for tp in fences}
        self.at_end = set()
        self._spoke = time.monotonic()
        self._consumer.assign(
            [KafkaPartition(self._settings.topic(tp.topic), tp.partition, fence + 1) for tp, fence in fences.items()]
        )

    def take(self, most: int, seconds: float) -> Taken:
        """Up to ``most`` records, waiting ``seconds`` for them.

        Raises ``StoreAway`` when Kafka says nothing for long, not even that a partition is at its end, and
        ``LogRemade`` when the log no longer holds what comes next.
        """
        messages = self._consumer.consume(most, timeout=seconds)
        if messages:
            self._spoke = time.monotonic()
        elif len(self.at_end) < len(self.position) and time.monotonic() > self._spoke + STALLED_SECONDS:
            raise StoreAway(f"Kafka gave no record for {STALLED_SECONDS:.0f} s")
        records: list[Record] = []
        poison: list[Poison] = []
        last: dict[TopicPartition, int] = {}
        events = 0
        for message in messages:
            tp = self._placed.get((message.topic(), message.partition()))
            offset, error = message.offset(), message.error()
            if tp is None or offset is None:
                raise StoreAway(f"Kafka: {error}")
            if error is not None:
                self._judge(tp, error)
                self.at_end.add(tp)
                # It names the next offset to come; what was before it may have been markers.
                if offset - 1 > last.get(tp, self.position[tp]):
                    last[tp] = offset - 1
                continue
            last[tp] = offset
            events += 1
            try:
                event = decode_record(tp.topic, message.key(), message.value())
            except Undecodable as unreadable:
                poison.append(Poison(tp, offset, False, str(unreadable)))
            else:
                records.append(Record(tp, offset, message.timestamp()[1], event))
        spans = {tp: Span(self.position[tp], reached) for tp, reached in last.items()}
        self.position.update(last)
        return Taken(records, poison, spans, events)

    def _judge(self, tp: TopicPartition, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            return
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LogRemade(f"{tp}: the log has no such offset: {error.str()}")
        raise KafkaException(error)
