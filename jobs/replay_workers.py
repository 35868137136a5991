"""The agents of a view, as Kafka sees their consumer group: whether any run, and which generation they write."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from sinks.producer import failure
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
_SECONDS = 15.0


class Workers:
    """Asks about the group of ``view``. Every call blocks, and raises ``StoreAway``."""

    def __init__(self, settings: Settings, view: str) -> None:
        self._settings = settings
        self._group = settings.topic_prefix + view
        own: dict[str, Any] = {
            **settings.kafka_client,
            "error_cb": lambda error: logger.warning("workers: %s", error),
        }
        self._admin = AdminClient(own, logger=logger)
        self._consumer = Consumer({**own, "group.id": self._group, "enable.auto.commit": False})

    def close(self) -> None:
        """End the clients."""
        self._consumer.close()

    def members(self) -> int:
        """How many workers are in the group."""
        asked = self._admin.describe_consumer_groups([self._group], request_timeout=_SECONDS)
        try:
            return len(asked[self._group].result().members or ())
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise failure(error.args[0]) from error

    def write(self, generation: int, partitions: list[TopicPartition]) -> bool:
        """Whether all of ``partitions`` were committed by agents that write ``generation``: they say so from the moment
        they begin to read for it, at its fences."""
        asked = [KafkaPartition(self._settings.topic(tp.topic), tp.partition) for tp in partitions]
        try:
            found = self._consumer.committed(asked, timeout=_SECONDS)
        except KafkaException as error:
            raise failure(error.args[0]) from error
        return all(one.metadata == f"generation={generation}" for one in found)
