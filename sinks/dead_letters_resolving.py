"""What becomes of dead letters, written beside them: a repaired event and the word that it repairs, or nothing of both.

One Kafka transaction holds the event and the record that resolves its letter, so that a crash redrives neither twice
nor not at all. The transactional id is one for each world: who begins here ends whoever began before, and reads the DLQ
only then, so that two commands at once cannot both redrive one letter.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from sinks.dead_letters_fold import RECORDED, DeadLetterBook, Letter, LetterId, Place, Resolution, Resolved
from sinks.errors import StoreAway
from sinks.generations import now_ms
from sinks.producer import EVENT_LIMIT, RECORD_LIMIT, TooLarge, failure
from sinks.settings import Settings
from sinks.topics import DLQ_SUFFIX
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
TRANSACTIONAL_ID = "dlq"
TRANSACTION_SECONDS = 60
"""How long an open transaction may last. Readers of its partitions wait for its end, also after a crash here: until
then, or until the next command begins."""
_ASK_SECONDS = 20.0
ANY = -1
_OVERTAKEN = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


class Overtaken(Exception):
    """Another command on the same DLQs began meanwhile: nothing of this transaction was written."""

    def __init__(self) -> None:
        super().__init__(
            "another `dlq redrive` or `dlq purge` began meanwhile; nothing was written: run this one again"
        )


class Repair(NamedTuple):
    """The event that stands for what the letter's record should have been, as the log will hold it."""

    letter: Letter
    key: bytes
    value: bytes


class Outgoing(NamedTuple):
    topic: str
    partition: int
    """ANY for that of the key."""
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]


class Resolver:
    """Resolves letters, in transactions. Blocks. To be entered before the DLQ is read.

    Raises, from every call: ``StoreAway`` where Kafka does not answer (then run the command again: what was resolved is
    known), ``Overtaken``, and ``TooLarge``.
    """

    def __init__(self, settings: Settings, clock_ms: Callable[[], int] = now_ms) -> None:
        self._settings = settings
        self._clock_ms = clock_ms
        self._producer: Producer

    def __enter__(self) -> Self:
        config: dict[str, Any] = {
            **self._settings.kafka_client,
            "transactional.id": self._settings.topic(TRANSACTIONAL_ID),
            "transaction.timeout.ms": TRANSACTION_SECONDS * 1000,
            "partitioner": "murmur2_random",  # as all producers here
            "compression.type": "lz4",
            "message.max.bytes": RECORD_LIMIT,
            "error_cb": lambda error: logger.warning("dlq: %s", error),
        }
        with _translated():
            self._producer = Producer(config, logger=logger)
            # Ends a transaction that a crash has left open, and waits until one that was just committed can be read.
            _until_done(lambda: self._producer.init_transactions(_ASK_SECONDS))
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.flush(1)

    def redrive(self, repairs: Sequence[Repair]) -> list[tuple[TopicPartition, int]]:
        """Append the repaired events, each with a header ``repairs`` that names its letter's record, and resolve their
        letters, all in one transaction; returns where the events stand."""
        for repair in repairs:
            if len(repair.value) > EVENT_LIMIT:
                raise TooLarge(f"{repair.letter.id}: {len(repair.value)} bytes; the log takes {EVENT_LIMIT} an event")
        events = [
            Outgoing(one.letter.id.tp.topic, ANY, one.key, one.value, {"repairs": str(one.letter.id)})
            for one in repairs
        ]
        with self._transaction():
            written = self._write(events)
            now = self._clock_ms()
            self._write(
                [
                    resolving(Resolved(one.letter.id, Resolution("redriven", now, f"{tp}@{offset}")))
                    for one, (tp, offset) in zip(repairs, written, strict=True)
                ]
            )
        return written

    def purge(self, letters: Sequence[Letter]) -> None:
        """Resolve ``letters`` without a repair, in one transaction."""
        now = self._clock_ms()
        with self._transaction():
            self._write([resolving(Resolved(one.id, Resolution("purged", now))) for one in letters])

    def delete(self, prefixes: Mapping[TopicPartition, Sequence[Place]]) -> int:
        """Delete these prefixes of DLQ partitions (``deletable`` gives them); returns how many records that are.

        What they resolve is said anew first, since a letter can be met and buried again at any time.
        """
        carried = [place.resolved for prefix in prefixes.values() for place in prefix if place.resolved is not None]
        if carried:
            with self._transaction():
                self._write([resolving(one) for one in carried])
        admin = AdminClient(self._settings.kafka_client)
        before = [
            KafkaPartition(self._settings.topic(tp.topic), tp.partition, prefix[-1].offset + 1)
            for tp, prefix in prefixes.items()
        ]
        with _translated():
            for future in admin.delete_records(before, request_timeout=_ASK_SECONDS).values():
                future.result()
        return sum(len(prefix) for prefix in prefixes.values())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _translated():
            self._producer.begin_transaction()
            try:
                yield
                _until_done(lambda: self._producer.commit_transaction(_ASK_SECONDS))
            except BaseException:
                with contextlib.suppress(KafkaException):
                    self._producer.abort_transaction(_ASK_SECONDS)
                raise

    def _write(self, records: Sequence[Outgoing]) -> list[tuple[TopicPartition, int]]:
        """Write within the transaction; where each record stands."""
        prefix = len(self._settings.topic_prefix)
        written: dict[int, tuple[TopicPartition, int]] = {}
        failures: list[KafkaError] = []

        def delivered(number: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                tp = TopicPartition((message.topic() or "")[prefix:], message.partition() or 0)
                written[number] = (tp, message.offset() or 0)

        for number, record in enumerate(records):
            self._queue(record, lambda error, message, number=number: delivered(number, error, message))
        left = self._producer.flush(TRANSACTION_SECONDS)
        if failures:
            raise KafkaException(failures[0])
        if left:
            raise StoreAway(f"Kafka did not acknowledge {left} records of the transaction")
        return [written[number] for number in range(len(records))]

    def _queue(self, record: Outgoing, delivered: Any) -> None:
        headers: list[tuple[str, str | bytes | None]] = [(name, text.encode()) for name, text in record.headers.items()]
        topic = self._settings.topic(record.topic)
        while True:
            try:
                self._producer.produce(
                    topic, record.value, record.key, record.partition, headers=headers, on_delivery=delivered
                )
                return
            except BufferError:
                self._producer.poll(0.1)


def deletable(book: DeadLetterBook) -> dict[TopicPartition, list[Place]]:
    """The longest prefix of each DLQ partition in which every letter has a record that resolves it.

    Nothing where that would only throw away resolutions. What a replay made good has no such record, and is kept: the
    view may go back to the generation that refused it.
    """
    prefixes: dict[TopicPartition, list[Place]] = {}
    stopped: set[TopicPartition] = set()
    for place in book.places:
        if place.tp in stopped:
            continue
        resolution = book.letters[place.letter].resolution if place.letter else None
        if place.resolved is None and (resolution is None or resolution.how not in RECORDED):
            stopped.add(place.tp)
        else:
            prefixes.setdefault(place.tp, []).append(place)
    return {tp: prefix for tp, prefix in prefixes.items() if any(place.letter for place in prefix)}


def resolving(resolved: Resolved) -> Outgoing:
    """The record that resolves a letter, as the DLQ holds it."""
    letter: LetterId = resolved.letter
    headers = {
        "resolution": resolved.resolution.how,
        "topic": letter.tp.topic,
        "partition": str(letter.tp.partition),
        "offset": str(letter.offset),
        "view": letter.view,
        "at": str(resolved.resolution.at),
        "by": resolved.resolution.by,
    }
    # A DLQ has as many partitions as its topic; which one it is does not matter to who reads.
    return Outgoing(letter.tp.topic + DLQ_SUFFIX, letter.tp.partition, str(letter).encode(), None, headers)


def _until_done(call: Callable[[], object]) -> None:
    """Make a call of a transaction again while Kafka asks for that; each such call goes on where it stood."""
    deadline = time.monotonic() + TRANSACTION_SECONDS
    while True:
        try:
            call()
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (KafkaException, SystemError) as raised:
        # The client raises a fatal error inside whatever call serves its callbacks, and if one of those still runs
        # then, Python makes a SystemError of it.
        error = raised.__cause__ if isinstance(raised, SystemError) else raised
        if not isinstance(error, KafkaException):
            raise
        if error.args[0].code() in _OVERTAKEN:
            raise Overtaken from error
        raise failure(error.args[0]) from error
