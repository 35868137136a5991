"""How far a source's sinks are behind the log, partition by partition: for monitors and the watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from streams.records import TopicPartition

_ASK_SECONDS = 10.0


class LagMeter:
    """Measures with the source's own consumer, and so on the source's own thread."""

    def __init__(self, consumer: Consumer, kafka: Callable[[TopicPartition], KafkaPartition]) -> None:
        """``kafka`` names a partition as Kafka does."""
        self._consumer = consumer
        self._kafka = kafka
        self._asked = 0.0
        self.behind: Mapping[TopicPartition, int] = {}
        """Records in the log, as last heard, that are not in the sink."""

    def measure(self, applied: Mapping[TopicPartition, int]) -> None:
        """Compare ``applied``, the last offset in the sink, with the log's ends.

        Now and then the broker itself is asked: what the client remembers of a partition that it does not fetch, for
        whatever reason, does not move.
        """
        now = time.monotonic()
        ask = now - self._asked >= _ASK_SECONDS
        if ask:
            self._asked = now
        behind = {}
        for tp, offset in applied.items():
            try:
                if ask:
                    _, end = self._consumer.get_watermark_offsets(self._kafka(tp), timeout=1.0)
                else:
                    _, end = self._consumer.get_watermark_offsets(self._kafka(tp), cached=True)
            except KafkaException:
                ask = False
                continue
            behind[tp] = max(0, end - 1 - offset) if end >= 0 else self.behind.get(tp, 0)
        self.behind = behind
