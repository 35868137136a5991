"""The topics of the log. Everything here blocks: call it from jobs, or through ``asyncio.to_thread``."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.events import TOPICS
from sinks.errors import StoreAway
from sinks.generations import TOPIC as GENERATIONS
from sinks.producer import RECORD_LIMIT, TopicMissing, failure
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
DLQ_SUFFIX = ".dlq"
_AT_ONCE_SECONDS = 1.0
_LEADERS_SECONDS = 60.0
"""How long a broker may take to lead what it was just told to make: hundreds of partitions took more than 15 s on a
busy machine."""


class TopicsUnfit(ValueError):
    """Topics exist, but not as this build needs them. The message says what to do."""


class Topics:
    """The topics of one world. Raises ``StoreAway``, everywhere, when Kafka does not answer within the timeout."""

    def __init__(self, settings: Settings, timeout_seconds: float = 15.0) -> None:
        self._settings = settings
        self._timeout = timeout_seconds
        self._connected: AdminClient | None = None

    @property
    def _admin(self) -> AdminClient:
        if self._connected is None:
            config: dict[str, Any] = {**self._settings.kafka_client, "error_cb": _log}
            admin = AdminClient(config, logger=logger)
            try:
                # The first request of a client is lost, and sent again after 3 s, if it falls into the change from the
                # bootstrap address to the broker's own; this one is not.
                admin.list_topics(timeout=self._timeout)
            except KafkaException as error:
                raise failure(error.args[0]) from error
            self._connected = admin
        return self._connected

    def names(self) -> list[str]:
        """Every topic that provisioning makes: the log's, a DLQ for each, and the pointers to the live generations."""
        return [*TOPICS, *(topic + DLQ_SUFFIX for topic in TOPICS), GENERATIONS]

    def provision(self, dry_run: bool = False) -> list[str]:
        """Make the topics that are missing, and give back their names. Idempotent; existing records are never touched.

        Raises ``TopicsUnfit`` before any change where a topic has another number of partitions. With ``dry_run`` only
        says what is missing.
        """
        described = self._describe(self.names())
        self._check_partitions(described)
        missing = [name for name in self.names() if name not in described]
        if dry_run:
            return missing
        if missing:
            for future in self._admin.create_topics(
                [self._new(name) for name in missing], request_timeout=self._timeout
            ).values():
                _answer(future, but={KafkaError.TOPIC_ALREADY_EXISTS})
            self._await_leaders()
        if described:
            self._set_configs(list(described))
        return missing

    def ids(self) -> dict[str, str]:
        """Kafka's own id of each topic: another one means that the topic was made anew. Raises ``TopicMissing``."""
        described = self._describe(self.names())
        missing = [name for name in self.names() if name not in described]
        if missing:
            raise TopicMissing(f"no topic {', '.join(missing)}: run `shutterlog provision`")
        return {name: str(found.topic_id) for name, found in described.items()}

    def ends(self) -> dict[TopicPartition, int]:
        """The last offset of each partition of the topics that are no DLQs; -1 for one that never had a record."""
        return {tp: offset - 1 for tp, offset in self._offsets(OffsetSpec.latest(), TOPICS).items()}

    def starts(self) -> dict[TopicPartition, int]:
        """The first offset that each partition of the topics that are no DLQs still holds; 0 for a fresh one."""
        return self._offsets(OffsetSpec.earliest(), TOPICS)

    def _new(self, name: str) -> NewTopic:
        return NewTopic(
            self._settings.topic(name),
            num_partitions=self._partitions(name),
            replication_factor=self._settings.replication_factor,
            config=self._config(name),
        )

    def _partitions(self, name: str) -> int:
        return 1 if name == GENERATIONS else self._settings.partitions

    def _config(self, name: str) -> dict[str, str]:
        config = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",  # the log is the database
            "retention.bytes": "-1",
            # One replica may be away, and what was acknowledged is still on two.
            "min.insync.replicas": str(min(2, self._settings.replication_factor)),
            # The broker's clock: an event's own time can then be held against it.
            "message.timestamp.type": "LogAppendTime",
            "unclean.leader.election.enable": "false",
        }
        if name.endswith(DLQ_SUFFIX):
            config["max.message.bytes"] = str(RECORD_LIMIT + 1000)
        if name == GENERATIONS:
            config["cleanup.policy"] = "compact"
        return config

    def _set_configs(self, names: list[str]) -> None:
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                self._settings.topic(name),
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in self._config(name).items()
                ],
            )
            for name in names
        ]
        for future in self._admin.incremental_alter_configs(resources, request_timeout=self._timeout).values():
            _answer(future)

    def _await_leaders(self) -> None:
        """A topic answers a moment after it was made, once its partitions have leaders that know of it."""
        deadline = time.monotonic() + _LEADERS_SECONDS
        while True:
            # librdkafka remembers for ever that a topic did not exist, when it was asked before it was made.
            self._connected = None
            try:
                # Others may have made some of them meanwhile.
                self._check_partitions(self._describe(self.names()))
                self._offsets(OffsetSpec.latest(), [*TOPICS, GENERATIONS])
                return
            except (StoreAway, TopicMissing):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _check_partitions(self, described: Mapping[str, Any]) -> None:
        unfit = [
            f"{self._settings.topic(name)} has {len(found.partitions)} partitions, not {self._partitions(name)}"
            for name, found in described.items()
            if len(found.partitions) != self._partitions(name)
        ]
        if unfit:
            raise TopicsUnfit(
                f"{', '.join(unfit)}. The number is fixed for life, since keys stay where they are: "
                f"set PARTITIONS to what the topics have, or use another TOPIC_PREFIX and replay."
            )

    def _describe(self, names: list[str]) -> dict[str, Any]:
        """What Kafka says of each of those topics that exist."""
        full = {self._settings.topic(name): name for name in names}
        futures = self._admin.describe_topics(TopicCollection(list(full)), request_timeout=self._timeout)
        described = {}
        for topic, future in futures.items():
            found = _answer(future, but={KafkaError.UNKNOWN_TOPIC_OR_PART})
            if found is not None:
                described[full[topic]] = found
        return described

    def _offsets(self, spec: OffsetSpec, topics: Collection[str]) -> dict[TopicPartition, int]:
        began = time.monotonic()
        try:
            return self._ask_offsets(spec, topics)
        except StoreAway:
            # A client keeps to the leaders' epochs that it once heard of, and is refused at once, for as long as it
            # lives, when a broker was started again since. Who answers so fast is not away: a new client asks again.
            self._connected = None
            if time.monotonic() - began > _AT_ONCE_SECONDS:
                raise
            return self._ask_offsets(spec, topics)

    def _ask_offsets(self, spec: OffsetSpec, topics: Collection[str]) -> dict[TopicPartition, int]:
        asked = {
            KafkaPartition(self._settings.topic(topic), partition): spec
            for topic in topics
            for partition in range(self._partitions(topic))
        }
        futures = self._admin.list_offsets(asked, request_timeout=self._timeout)
        prefix = len(self._settings.topic_prefix)
        return {
            TopicPartition(tp.topic[prefix:], tp.partition): int(_answer(future).offset)
            for tp, future in futures.items()
        }


def _log(error: KafkaError) -> None:
    logger.warning("Kafka: %s", error)


def _answer(future: Any, but: Collection[int] = ()) -> Any:
    """The result of an admin call, or None for an error whose code is in ``but``."""
    try:
        return future.result()
    except KafkaException as error:
        if error.args[0].code() in but:
            return None
        raised = failure(error.args[0])
        raise raised from (None if isinstance(raised, StoreAway) else error)
