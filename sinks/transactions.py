"""Events that stand in the log together or not at all: what is said under two keys at once, such as a block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.codec import encode
from schemas.events import Event
from sinks.beside import looked_at
from sinks.errors import StoreAway
from sinks.producer import RECORD_LIMIT, Written, failure
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
_TRIES = 2
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


class Transactions:
    """A gateway's transactional producer, opened at the first use; one transaction at a time, for any number of tasks.

    Its id is the gateway's (``node_id``): one that starts again ends what it left open. Two gateways that share a
    ``node_id``, against the rule, take turns: who was overtaken begins once more.
    """

    def __init__(self, settings: Settings, timeout_seconds: float = 10.0) -> None:
        """A transaction that a crash left open holds its partitions' readers up for ``timeout_seconds`` at most."""
        self._prefix = len(settings.topic_prefix)
        self._settings = settings
        self._seconds = timeout_seconds
        self._config: dict[str, Any] = {
            **settings.kafka_client,
            "transactional.id": settings.topic(f"gateway-{settings.node_id}"),
            "transaction.timeout.ms": int(timeout_seconds * 1000),
            "delivery.timeout.ms": int(timeout_seconds * 1000),
            "partitioner": "murmur2_random",  # as all producers here
            "compression.type": "lz4",
            "message.max.bytes": RECORD_LIMIT,
            "linger.ms": 0,
            "error_cb": lambda error: logger.warning("Kafka: %s", error),
        }
        self._producer: Producer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._turns: set[asyncio.Task[list[Written]]] = set()

    async def say(self, events: Sequence[Event]) -> list[Written]:
        """Write ``events`` in one transaction; where each stands, once readers may see them. Raises ``StoreAway``, and
        then either all of them are in the log or, most likely, none."""
        outgoing = [(self._settings.topic(event.TOPIC), event.key, encode(event)) for event in events]
        turn = asyncio.create_task(self._in_turn(outgoing))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        turn.add_done_callback(looked_at)
        try:
            async with asyncio.timeout(self._seconds):
                # A thread cannot be called back: who waits no longer leaves it to end.
                return await asyncio.shield(turn)
        except TimeoutError as error:
            raise StoreAway("Kafka does not answer in time") from error

    async def _in_turn(self, outgoing: Sequence[tuple[str, bytes, bytes]]) -> list[Written]:
        begun = time.monotonic()
        async with self._one_at_a_time:
            if time.monotonic() - begun > self._seconds:
                raise StoreAway("Kafka held up what others said")
            return await asyncio.to_thread(self._say, outgoing)

    async def close(self) -> None:
        """End what is under way."""
        if self._turns:
            await asyncio.wait(self._turns, timeout=3 * self._seconds)
        producer, self._producer = self._producer, None
        if producer is not None:
            await asyncio.to_thread(producer.flush, self._seconds)

    def _say(self, outgoing: Sequence[tuple[str, bytes, bytes]]) -> list[Written]:
        for left in reversed(range(_TRIES)):
            try:
                return self._once(outgoing)
            except KafkaException as raised:
                error = raised.args[0]
                self._producer = None  # whatever state it is in, the next one begins anew
                if not (left and error.code() in _FENCED):
                    raise failure(error) from raised
        raise AssertionError("the last try either returns or raises")

    def _once(self, outgoing: Sequence[tuple[str, bytes, bytes]]) -> list[Written]:
        if self._producer is None:
            producer = Producer(self._config, logger=logger)
            producer.init_transactions(self._seconds)
            self._producer = producer
        producer = self._producer
        written: dict[int, Written] = {}

        def delivered(number: int, error: KafkaError | None, message: Message) -> None:
            if error is None:
                tp = TopicPartition((message.topic() or "")[self._prefix :], message.partition() or 0)
                written[number] = (tp, message.offset() or 0)

        producer.begin_transaction()
        try:
            for number, (topic, key, value) in enumerate(outgoing):
                producer.produce(topic, value, key, on_delivery=partial(delivered, number))
            producer.commit_transaction(self._seconds)
        except KafkaException:
            with contextlib.suppress(KafkaException):
                producer.abort_transaction(self._seconds)
            raise
        if len(written) < len(outgoing):  # a commit waits for every acknowledgement
            raise StoreAway("Kafka committed a transaction without saying where its records stand")
        return [written[number] for number in range(len(outgoing))]
