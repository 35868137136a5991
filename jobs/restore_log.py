"""Writing a backup's records back: into the same partitions, at the same offsets, with the same timestamps."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from jobs.backup_log import LogSource
from jobs.backup_manifest import BackupRefused, Manifest, Segment
from jobs.backup_segments import Kept, read_segment
from jobs.restore_plan import Padded, Put, Sealed, Skipped, Step, Torn, plan
from sinks.errors import StoreAway
from sinks.producer import failure
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
_ASK_SECONDS = 30.0
_MARKER_SECONDS = 0.002
_CLOCK_AHEAD_MS = 3_600_000
"""Kafka's own bound. It has no meaning where the broker stamps."""
_DELIVERY_SECONDS = 120.0
_TELL_EVERY = 5000
_RECORD_BYTES = 100_000_000
"""What the client lets through: the broker's limit counts compressed bytes, and took these records before."""
_BATCH_BYTES = 900_000


class LogTarget:
    """Writes into the topics of ``settings``, which nobody else writes to. Blocks. Raises ``StoreAway``."""

    def __init__(self, settings: Settings, source: LogSource, folder: Path, manifest: Manifest) -> None:
        """``source`` reads the same topics."""
        self._settings, self._source, self._folder, self._manifest = settings, source, folder, manifest
        self._run = manifest.last_run()
        self._failures: list[KafkaError] = []
        self._edges: dict[TopicPartition, tuple[Kept, Kept]] = {}
        """The first and the last record that was written of each partition."""
        config: dict[str, Any] = {
            **settings.kafka_client,
            "acks": "all",
            "compression.type": "lz4",
            "message.max.bytes": _RECORD_BYTES,
            "batch.size": _BATCH_BYTES,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 131_072,
            "linger.ms": 20,
            "error_cb": lambda error: logger.warning("Kafka: %s", error),
            "on_delivery": self._heard,
            "delivery.report.only.error": True,
        }
        self._admin = AdminClient(settings.kafka_client)
        timeout = int(_DELIVERY_SECONDS * 1000)
        self._plain = Producer({**config, "enable.idempotence": True, "delivery.timeout.ms": timeout})
        self._transactional = Producer(
            {**config, "transactional.id": settings.topic_prefix + "restore", "transaction.timeout.ms": 60_000}
        )
        # Ends a transaction that a killed restore left open.
        _reaching(lambda: self._transactional.init_transactions(_ASK_SECONDS))

    def keep_timestamps(self, kept: bool) -> None:
        """Whether the topics take their records' own timestamps, or (as always but now) the broker's clock.

        A broker answers for a change a moment before its partitions go by it, and makes one change after the other: so
        once it answers for a second one, the first holds. (Should another broker be later, ``write`` notices.)
        """
        self._configure("message.timestamp.type", "CreateTime" if kept else "LogAppendTime")
        # The second change is of use, too: records may come from a broker whose clock is ahead.
        self._configure("message.timestamp.after.max.ms", str(2**63 - 1) if kept else str(_CLOCK_AHEAD_MS))

    def _configure(self, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        topics = [self._settings.topic(topic) for topic in self._manifest.topics]
        changed = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
        for future in self._admin.incremental_alter_configs(changed, request_timeout=_ASK_SECONDS).values():
            _reaching(future.result)
        deadline = time.monotonic() + _ASK_SECONDS
        while True:
            asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
            answers = self._admin.describe_configs(asked, request_timeout=_ASK_SECONDS).values()
            if all(_reaching(future.result)[name].value == value for future in answers):
                return
            if time.monotonic() > deadline:
                raise StoreAway(f"Kafka has not set {name} of the topics to {value}")
            time.sleep(_MARKER_SECONDS)

    def write(self, topic: str, moved: Callable[[int], None]) -> int:
        """Write what is missing of ``topic``, and look at what readers get of it; how many records were written.

        Raises ``BackupRefused`` where the topic does not hold what this backup would have written there.
        """
        self._edges.clear()
        at = self._source.ends([topic])
        written = self._write({tp: self._steps(tp, reached) for tp, reached in at.items()}, moved)
        self._delete_below_starts(topic)
        for tp, end in self._source.ends([topic]).items():
            if end != self._run.ends.get(str(tp), 0):
                raise _torn(tp, f"it ends at {end}, the backup at {self._run.ends.get(str(tp), 0)}")
        for tp, records in self._edges.items():
            for record in records:
                self._compare(tp, record)
        return written

    def _steps(self, tp: TopicPartition, at: int) -> Iterator[Step]:
        end, start = self._run.ends.get(str(tp), 0), self._run.starts.get(str(tp), 0)
        segments = self._manifest.segments_of(tp)
        if at > end:
            raise _torn(tp, f"it ends at {at}, the backup at {end}")
        before = [one for one in segments if one.first < at]
        if before:
            for last in deque(self._read(before[-1:], 0, at), maxlen=1):
                self._compare(tp, last)
        try:
            yield from plan(self._read(segments, at, end), at, start, end)
        except Torn as torn:
            raise _torn(tp, str(torn)) from torn

    def _read(self, segments: Collection[Segment], start: int, end: int) -> Iterator[Kept]:
        """The records from ``start`` up to, and without, ``end``."""
        for segment in segments:
            if segment.last >= start and segment.first < end:
                for record in read_segment(self._folder / segment.file):
                    if start <= record.offset < end:
                        yield record

    def _write(self, steps: dict[TopicPartition, Iterator[Step]], moved: Callable[[int], None]) -> int:
        """In rounds: each partition up to its next gap, then all these gaps at once."""
        written = 0
        while steps:
            sealed: dict[TopicPartition, Kept] = {}
            skipped: dict[TopicPartition, int] = {}
            for tp in list(steps):
                for step in steps[tp]:
                    match step:
                        case Put(record):
                            self._produce(self._plain, tp, record)
                            self._edge(tp, record)
                            written += 1
                            if written % _TELL_EVERY == 0:
                                moved(_TELL_EVERY)
                        case Padded(offsets):
                            self._fill(self._plain, tp, offsets)
                        case Sealed(record):
                            sealed[tp] = record
                            self._edge(tp, record)
                            written += 1
                            break
                        case Skipped(offsets):
                            skipped[tp] = offsets
                            break
                else:
                    del steps[tp]
            self._flush(self._plain)
            if sealed:
                self._seal(sealed)
            if skipped:
                self._skip(skipped)
        moved(written % _TELL_EVERY)
        return written

    def _edge(self, tp: TopicPartition, record: Kept) -> None:
        first, _ = self._edges.get(tp, (record, record))
        self._edges[tp] = (first, record)

    def _seal(self, records: Mapping[TopicPartition, Kept]) -> None:
        _reaching(self._transactional.begin_transaction)
        for tp, record in records.items():
            self._produce(self._transactional, tp, record)
        _reaching(lambda: self._transactional.commit_transaction(_ASK_SECONDS))
        self._await_markers({tp: record.offset + 2 for tp, record in records.items()})

    def _skip(self, offsets: Mapping[TopicPartition, int]) -> None:
        before = self._source.ends({tp.topic for tp in offsets})
        _reaching(self._transactional.begin_transaction)
        for tp, count in offsets.items():
            self._fill(self._transactional, tp, count - 1)
        self._flush(self._transactional)
        _reaching(lambda: self._transactional.abort_transaction(_ASK_SECONDS))
        self._await_markers({tp: before[tp] + count for tp, count in offsets.items()})

    def _await_markers(self, ends: Mapping[TopicPartition, int]) -> None:
        """A transaction's end is answered before its markers stand in the log; what comes next must not pass them."""
        deadline = time.monotonic() + _ASK_SECONDS
        while True:
            found = self._source.ends({tp.topic for tp in ends})
            behind = {tp: end for tp, end in ends.items() if found[tp] < end}
            if not behind:
                return
            if time.monotonic() > deadline:
                raise StoreAway(f"Kafka has not ended the transaction in {', '.join(map(str, behind))}")
            time.sleep(_MARKER_SECONDS)

    def _fill(self, producer: Producer, tp: TopicPartition, count: int) -> None:
        for _ in range(count):
            self._produce(producer, tp, Kept(0, 1, None, None))

    def _produce(self, producer: Producer, tp: TopicPartition, record: Kept) -> None:
        topic, headers = self._settings.topic(tp.topic), list(record.headers)
        headers_or_none: Any = headers or None
        while True:
            try:
                producer.produce(
                    topic, record.value, record.key, tp.partition, timestamp=record.timestamp, headers=headers_or_none
                )
                return
            except BufferError:
                producer.poll(0.1)
                self._raise_failure()

    def _flush(self, producer: Producer) -> None:
        producer.flush(_DELIVERY_SECONDS + 1)
        self._raise_failure()

    def _heard(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failures.append(error)

    def _raise_failure(self) -> None:
        if self._failures:
            raise failure(self._failures[0])

    def _delete_below_starts(self, topic: str) -> None:
        below = [
            KafkaPartition(self._settings.topic(topic), tp.partition, start)
            for tp, low in self._source.starts([topic]).items()
            if low < (start := self._run.starts.get(str(tp), 0))
        ]
        if below:
            for future in self._admin.delete_records(below, request_timeout=_ASK_SECONDS).values():
                _reaching(future.result)

    def _compare(self, tp: TopicPartition, record: Kept) -> None:
        """Whether readers get this record as it was, timestamp and all."""
        if record.offset < self._run.starts.get(str(tp), 0):
            return
        found = next(self._source.read(tp, record.offset, record.offset + 1), None)
        if found != record:
            raise _torn(tp, f"offset {record.offset} holds something else than the backup")


def _torn(tp: TopicPartition, why: str) -> BackupRefused:
    return BackupRefused(
        f"{tp} cannot be restored into as it is: {why}. Delete the topic {tp.topic} with Kafka's own tools, and run "
        "`shutterlog restore` again: it makes the topic anew and goes on with the others"
    )


def _reaching(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except KafkaException as error:
        raise failure(error.args[0]) from error
