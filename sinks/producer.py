"""Events into the log: idempotent, and answered only after the broker's acknowledgement by all in-sync replicas.

librdkafka works with callbacks on a poll thread of this object; here a call's callbacks become one asyncio future.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from schemas.codec import encode
from schemas.events import Event
from sinks.broker_watch import BrokerWatch
from sinks.errors import StoreAway
from sinks.registry import adopt_ids
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)

EVENT_LIMIT = 900_000
"""Bytes of an event at most. Checked here: a broker that refuses one record refuses its whole batch."""
RECORD_LIMIT = 2_200_000
"""Bytes of a dead letter at most: any record that a topic takes, and its headers."""
QUEUED_RECORDS = 20_000
"""Records in memory before calls have to wait."""
_POLL_SECONDS = 0.5
_YIELD_EVERY = 256
_MISSING = {KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION}
_TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE}
_AWAY = {
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._SSL,
    KafkaError._AUTHENTICATION,
    KafkaError._DESTROY,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._FATAL,
    KafkaError._NOENT,  # "no leaders found", just after a topic was made
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,  # the broker has not heard yet of a topic that was just made
}


class TooLarge(ValueError):
    """A record is larger than the log takes."""


class TopicMissing(LookupError):
    """A topic does not exist: ``shutterlog provision`` makes it."""


class Outgoing(NamedTuple):
    """A record to be written as it is. ``topic`` is a name in the design, without a world's prefix."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] | None = None


Written = tuple[TopicPartition, int]
"""Where a record stands in the log: its partition and its offset."""


class Producer:
    """Writes to the log; an async context manager, bound to the event loop that entered it. For any number of tasks.

    Raises, from every call that writes: ``StoreAway`` when Kafka has not acknowledged within ``timeout_seconds`` (a
    record may be in the log nevertheless), ``TopicMissing``, ``TooLarge``, and ``ValueError`` for events that
    ``decode`` would refuse.

    With a ``watch``, as gateways have, it raises ``StoreAway`` at once while Kafka is known to be away.
    """

    def __init__(
        self,
        settings: Settings,
        timeout_seconds: float = 10.0,
        linger_ms: float = 2.0,
        watch: BrokerWatch | None = None,
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._calls: dict[_Call, float] = {}
        """Those under way, the oldest first, and when they began."""
        self._timeout_seconds = timeout_seconds
        self._config: dict[str, Any] = {
            **settings.kafka_client,
            "client.id": "shutterlog",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": linger_ms,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",  # what Java's clients do, so that everyone finds a key's partition
            "message.max.bytes": RECORD_LIMIT,
            "batch.size": EVENT_LIMIT,  # of records together; a larger one goes alone
            "queue.buffering.max.messages": QUEUED_RECORDS,
            "delivery.timeout.ms": int(timeout_seconds * 1000),
            "topic.metadata.propagation.max.ms": min(5000, int(timeout_seconds * 500)),
            "socket.connection.setup.timeout.ms": max(1000, min(10_000, int(timeout_seconds * 500))),
            "error_cb": self._hear,
        }
        self._kafka: KafkaProducer
        self._loop: asyncio.AbstractEventLoop
        self._room: asyncio.Event
        self._starved = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    async def __aenter__(self) -> Self:
        await adopt_ids(self._settings)
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._kafka = KafkaProducer(self._config, logger=logger)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._poll, name="producer", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for what is under way, within the timeout."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            await asyncio.to_thread(thread.join)

    async def produce(self, event: Event) -> Written:
        """Write one event; returns where it stands once the broker has acknowledged it."""
        return (await self.produce_many((event,)))[0]

    async def produce_many(self, events: Sequence[Event]) -> list[Written]:
        """Write ``events`` in their order within each key; returns where each stands once all are acknowledged.

        When it raises, any of them may be in the log.
        """
        outgoing = []
        for event in events:
            value = encode(event)
            if len(value) > EVENT_LIMIT:
                raise TooLarge(f"this {type(event).__name__} has {len(value)} bytes; the log takes {EVENT_LIMIT}")
            outgoing.append(Outgoing(event.TOPIC, event.key, value))
            if len(outgoing) % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return await self.write(outgoing)

    async def write(self, records: Sequence[Outgoing]) -> list[Written]:
        """Write ``records`` as they are; for dead letters and repairs. Otherwise like ``produce_many``."""
        if self._thread is None:
            raise RuntimeError("this producer is not open")
        if not records:
            return []
        self.check()
        kafka = self._kafka
        call = _Call(self, kafka, self._loop, len(records))
        self._calls[call] = time.monotonic()
        try:
            await self._queue_all(kafka, records, call)
            return await call.done
        finally:
            del self._calls[call]

    async def _queue_all(self, kafka: KafkaProducer, records: Sequence[Outgoing], call: _Call) -> None:
        try:
            for number, record in enumerate(records):
                if call.error is not None:
                    # What comes later must not stand in the log without what came before it.
                    raise KafkaException(call.error)
                await self._queue(kafka, record, partial(call.delivered, number))
                if number % _YIELD_EVERY == _YIELD_EVERY - 1:
                    await asyncio.sleep(0)
        except KafkaException as error:
            if is_fatal(error.args[0]):
                self.replace(kafka)
            raise failure(error.args[0]) from error

    def check(self) -> None:
        """Raise ``StoreAway`` where a write would be in vain now."""
        if self._watch is not None:
            self._watch.check()

    def replace(self, fatal: KafkaProducer) -> None:
        """Go on with a new producer: an idempotent one that met a fatal error never writes again."""
        if self._kafka is fatal and not self._stopping.is_set():
            logger.error("Kafka: fatal error; going on with a new producer")
            self._kafka = KafkaProducer(self._config, logger=logger)
            self._loop.run_in_executor(None, _retire, fatal)

    async def _queue(self, kafka: KafkaProducer, record: Outgoing, delivered: Any) -> None:
        topic = self._settings.topic(record.topic)
        headers: list[tuple[str, str | bytes | None]] = list((record.headers or {}).items())
        starved = False
        while True:
            if self._stopping.is_set():
                raise StoreAway("the producer is closing")
            try:
                return kafka.produce(topic, record.value, record.key, on_delivery=delivered, headers=headers)
            except BufferError:
                if starved:
                    # Every record in the queue is delivered or fails within the timeout, so this ends.
                    await self._room.wait()
                # Said before trying once more, so that no delivery in between is missed.
                self._room.clear()
                self._starved = starved = True

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._kafka.poll(_POLL_SECONDS)
            if self._watch is not None and self._watch.look(self._kafka, self._oldest()):
                _tell(self._loop, self._give_up)
            self._wake()
        self._kafka.flush(self._timeout_seconds + 1)
        self._wake()

    def _oldest(self) -> float | None:
        with contextlib.suppress(RuntimeError):  # another thread has just changed them; it is asked again soon
            return next(iter(self._calls.values()), None)
        return None

    def _give_up(self) -> None:
        """Nobody waits any longer; what is under way may still come into the log."""
        for call in self._calls:
            if not call.done.done():
                call.done.set_exception(StoreAway("Kafka does not answer"))

    def _hear(self, error: KafkaError) -> None:
        logger.warning("Kafka: %s", error)
        if self._watch is not None:
            self._watch.hear(error)

    def _wake(self) -> None:
        if self._starved:
            self._starved = False
            _tell(self._loop, self._room.set)


class _Call:
    """The acknowledgements that one call waits for. ``delivered`` runs in the poll thread, all else on the loop."""

    def __init__(self, producer: Producer, kafka: KafkaProducer, loop: asyncio.AbstractEventLoop, records: int) -> None:
        self.done: asyncio.Future[list[Written]] = loop.create_future()
        self._producer = producer
        self._kafka = kafka
        self._loop = loop
        self._prefix = len(producer._settings.topic_prefix)
        self._left = records
        self._written: list[Any] = [None] * records
        self.error: KafkaError | None = None

    def delivered(self, number: int, error: KafkaError | None, message: Message) -> None:
        """The broker's answer for record ``number``."""
        offset = message.offset()
        if error is not None:
            self.error = self.error or error
        elif offset is None or offset < 0:
            # Acknowledged as a duplicate whose place the broker has forgotten. Folds take twice as once.
            self.error = self.error or KafkaError(KafkaError._TIMED_OUT, "acknowledged without an offset")
        else:
            topic = message.topic() or ""
            self._written[number] = (TopicPartition(topic[self._prefix :], message.partition() or 0), offset)
        self._left -= 1
        if self._left == 0:
            _tell(self._loop, self._settle)

    def _settle(self) -> None:
        if self.error is not None and is_fatal(self.error):
            self._producer.replace(self._kafka)
        if self.done.done():  # cancelled meanwhile
            return
        if self.error is None:
            self.done.set_result(self._written)
        else:
            self.done.set_exception(failure(self.error))


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(what)


def _retire(fatal: KafkaProducer) -> None:
    """Let everybody who waits for ``fatal`` know that it is over."""
    fatal.purge()
    fatal.flush(5)


def is_fatal(error: KafkaError) -> bool:
    """Whether the producer that met ``error`` can never write again."""
    return error.fatal() or error.code() == KafkaError._FATAL


def failure(error: KafkaError) -> Exception:
    """The exception of ours that a Kafka error means; ``KafkaException`` for what nobody expects."""
    code = error.code()
    if code in _TOO_LARGE:
        return TooLarge(f"Kafka: {error.str()}")
    if code in _MISSING:
        return TopicMissing(f"Kafka: {error.str()}: run `shutterlog provision`")
    if code in _AWAY or error.retriable() or error.fatal():
        return StoreAway(f"Kafka: {error.str()}")
    return KafkaException(error)
