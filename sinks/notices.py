"""The sink of notices: what they say and how far the emitter has come are one Kafka transaction.

Other emitters say a thing twice after a crash, and their readers take twice as once. Here the place of an event in its
partition is itself what readers go by (what was seen, where a stream goes on), so that each has to be there once.
A zombie, or a worker whose partitions went on to another, is refused by the group's generation, which the transaction
carries; read before the committed offsets are, so that nothing fits in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import encode
from sinks.beside import looked_at
from sinks.emitter import ConsumerCommits
from sinks.errors import FenceBehind, StoreAway
from sinks.producer import EVENT_LIMIT
from sinks.settings import Settings
from streams.notices import Notice
from streams.records import Spans, TopicPartition

logger = logging.getLogger(__name__)
TRANSACTION_SECONDS = 10
"""How long an open transaction may last. Readers of its partitions wait for its end, also after a crash here."""
OVERDUE_SECONDS = TRANSACTION_SECONDS + 2.0
"""librdkafka may wait for ever where a broker dies in the middle of a transaction, whatever timeout it was given (seen
with `kill -9` during send_offsets_to_transaction). After so long nobody waits for a transaction any more: the broker is
about to abort it, so that nothing is given up that could still come to be."""
HUNG_SECONDS = 3.0 * TRANSACTION_SECONDS
"""The same of a new producer, which waits for what its predecessor has left open, and for a broker that starts."""
Call = Callable[[], object]


class NoticeSink:
    """A ``Sink`` that emits in transactions. One call at a time."""

    def __init__(self, settings: Settings, slot: str, commits: ConsumerCommits) -> None:
        """``slot`` names this worker among those that emit notices, for as long as its successors; ``commits`` are
        those of its consumer."""
        self._settings = settings
        self._commits = commits
        self._config: dict[str, Any] = {
            **settings.kafka_client,
            "transactional.id": settings.topic(f"notices-{slot}"),
            "transaction.timeout.ms": TRANSACTION_SECONDS * 1000,
            "partitioner": "murmur2_random",  # as all producers here
            "compression.type": "lz4",
            "linger.ms": 2,
            "batch.size": EVENT_LIMIT,
            "error_cb": lambda error: logger.warning("notices: %s", error),
        }
        # A transaction is begun, filled and ended on one thread.
        self._thread = _thread()
        self._producer: Producer | None = None

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The committed offset of each of ``partitions``; -1 where nothing is committed. Raises ``StoreAway``.

        Whatever a predecessor of this slot has left open is ended first.
        """
        await self._call(self._ready, HUNG_SECONDS)
        return await self._commits.committed(partitions)

    async def apply(self, writes: Sequence[Notice], spans: Spans) -> None:
        """See ``Sink.apply``: all of it is in the log together with the commit, or nothing is."""
        membership = await self._commits.membership(spans)
        fences = await self.fences(spans.keys())
        if any(fences[tp] < span.prior for tp, span in spans.items()):
            raise FenceBehind(fences)
        moved = {tp: span.last for tp, span in spans.items() if span.last > fences[tp]}
        new = [write for write in writes if write.mark.offset > fences[write.mark.tp]]
        if not new:
            await self._commits.commit(moved)
        else:
            await self._call(partial(self._transaction, new, moved, membership), OVERDUE_SECONDS)
            await self._commits.took(moved)

    async def _call(self, call: Call, seconds: float) -> None:
        working = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(working)
        except TimeoutError as error:
            working.add_done_callback(looked_at)
            # Whatever the old producer still does, the next one fences it, and then asks what was committed.
            self._thread, self._producer = _thread(), None
            raise StoreAway(f"Kafka neither took nor refused a transaction within {seconds:g} s") from error

    # What follows runs on the thread.

    def _ready(self) -> Producer:
        if self._producer is None:
            with self._translated(None):
                producer = Producer(self._config, logger=logger)
                # Fences a predecessor, and waits until what it had begun is ended.
                until_done(lambda: producer.init_transactions(TRANSACTION_SECONDS))
                self._producer = producer
        return self._producer

    def _transaction(self, notices: Sequence[Notice], moved: Mapping[TopicPartition, int], membership: object) -> None:
        producer = self._ready()
        offsets = [KafkaPartition(self._settings.topic(tp.topic), tp.partition, last + 1) for tp, last in moved.items()]
        with self._translated(producer):
            producer.begin_transaction()
            try:
                self._write(producer, notices)
                until_done(lambda: producer.send_offsets_to_transaction(offsets, membership, TRANSACTION_SECONDS))
                until_done(lambda: producer.commit_transaction(TRANSACTION_SECONDS))
            except BaseException:
                with contextlib.suppress(KafkaException):
                    producer.abort_transaction(TRANSACTION_SECONDS)
                raise

    def _write(self, producer: Producer, notices: Sequence[Notice]) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)

        for notice in notices:
            event = notice.event
            while True:
                try:
                    producer.produce(self._settings.topic(event.TOPIC), encode(event), event.key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(TRANSACTION_SECONDS)
        if failures:
            raise KafkaException(failures[0])
        if left:
            raise StoreAway(f"Kafka did not acknowledge {left} records of the transaction")

    @contextlib.contextmanager
    def _translated(self, producer: Producer | None) -> Iterator[None]:
        """Whatever Kafka refuses here, the next call may bring: the partitions may be gone, or this worker's slot
        taken, which the source finds out."""
        try:
            yield
        except (KafkaException, SystemError) as raised:
            error = raised.__cause__ if isinstance(raised, SystemError) else raised
            if not isinstance(error, KafkaException):
                raise
            # An open transaction that could not be ended goes with its producer: the next one fences it.
            if self._producer is producer:
                self._producer = None
            raise StoreAway(f"Kafka did not take the transaction: {error}") from error


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="notices")


def until_done(call: Call) -> None:
    """Make a call of a transaction again while Kafka asks for that; each such call goes on where it stood."""
    deadline = time.monotonic() + TRANSACTION_SECONDS
    while True:
        try:
            call()
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise
