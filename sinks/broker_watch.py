"""Whether Kafka answers a producer: whoever would write in vain hears it at once, and not after the time limit."""

from __future__ import annotations

import logging
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as KafkaProducer

from sinks.errors import StoreAway

logger = logging.getLogger(__name__)


class BrokerWatch:
    """Looks where there is a doubt: no broker is connected, or somebody waits for long. Used on a producer's poll
    thread; ``check`` is for all threads."""

    def __init__(self, seconds: float = 4.0, look_seconds: float = 2.0) -> None:
        """A write that waits for ``seconds`` is a doubt; then Kafka has ``look_seconds`` for the answer that it is
        there."""
        self._seconds, self._look_seconds = seconds, look_seconds
        self._doubted = False
        self.away = False
        """Whether Kafka did not answer when it was last asked."""

    def check(self) -> None:
        """Raise ``StoreAway`` while Kafka is away."""
        if self.away:
            raise StoreAway("Kafka did not answer a moment ago")

    def hear(self, error: KafkaError) -> None:
        """An error of the client, of no call."""
        self._doubted = self._doubted or error.code() == KafkaError._ALL_BROKERS_DOWN

    def look(self, kafka: KafkaProducer, waits_since: float | None) -> bool:
        """Ask Kafka, where there is a doubt, whether it is there; whether it has just gone. ``waits_since``: when the
        oldest write under way began, on the monotonic clock."""
        waits = waits_since is not None and time.monotonic() - waits_since > self._seconds
        if not (self._doubted or waits or self.away):
            return False
        self._doubted, before = False, self.away
        try:
            kafka.list_topics(timeout=self._look_seconds)
        except KafkaException as error:
            self.away = True
            if not before:
                logger.warning("Kafka does not answer, and nothing is written until it does: %s", error)
        else:
            self.away = False
            if before:
                logger.info("Kafka answers again")
        return self.away and not before
