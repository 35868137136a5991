"""Reading the log to given ends, and waiting until emitters and views have come as far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import Undecodable, decode_record
from schemas.events import Event
from sinks.errors import StoreAway
from sinks.settings import Settings
from streams.records import TopicPartition

Offsets = Mapping[TopicPartition, int]
Take = Callable[[Event, int, int], None]
"""Hears an event, its offset, and the time in ms at which the broker took it."""
"""The last offset of each partition; -1 for none."""

_STALLED_SECONDS = 30.0
_AT_ONCE = 10_000
_POLL_SECONDS = 0.2


class LogReader:
    """Reads the log once, from its beginning, in as many steps as wanted. Groups and commits are not touched."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.topic_prefix
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "verify",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "error_cb": lambda error: None,
            }
        )
        self.read: dict[TopicPartition, int] = {}
        """The last offset that was read of each partition."""
        self.undecodable = 0
        self.witness: Callable[[TopicPartition, int, int, Event], None] | None = None
        """Hears of every event that is read for the first time: where it stands, and the broker's time of it in ms."""

    def close(self) -> None:
        """End the consumer."""
        self._consumer.close()

    def read_to(self, ends: Offsets, take: Take, moved: Callable[[int], None]) -> None:
        """Give every event up to ``ends``, and its offset, to ``take``, in the order of each partition; ``moved`` hears
        how many.

        What cannot be decoded is counted and passed over, as every view does. Raises ``StoreAway`` when Kafka stops
        answering.
        """
        left = {tp for tp, end in ends.items() if self.read.get(tp, -1) < end}
        if not left:
            return
        self._consumer.assign(
            [KafkaPartition(self._prefix + tp.topic, tp.partition, self.read.get(tp, -1) + 1) for tp in left]
        )
        last_move = time.monotonic()
        while left:
            messages = self._consumer.consume(_AT_ONCE, timeout=0.1)
            if messages:
                last_move = time.monotonic()
            elif time.monotonic() - last_move > _STALLED_SECONDS:
                raise StoreAway(f"Kafka gave no record for {_STALLED_SECONDS:.0f} s")
            for message in messages:
                tp = TopicPartition((message.topic() or "")[len(self._prefix) :], message.partition() or 0)
                offset, error = message.offset(), message.error()
                if offset is None or tp not in left:
                    continue  # records beyond the end, fetched together with the last ones
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(error)
                    offset -= 1  # the next offset to come; what was before it may have been markers
                else:
                    self._take(tp, offset, message, take)
                self.read[tp] = offset
                if offset >= ends[tp]:
                    left.discard(tp)
            moved(len(messages))
        self._consumer.unassign()

    def _take(self, tp: TopicPartition, offset: int, message: Message, take: Take) -> None:
        try:
            event = decode_record(tp.topic, message.key(), message.value())
        except Undecodable:
            self.undecodable += 1
        else:
            take(event, offset, message.timestamp()[1])
            if self.witness is not None:
                self.witness(tp, offset, message.timestamp()[1], event)


def committed(settings: Settings, group: str, topics: tuple[str, ...]) -> dict[TopicPartition, int]:
    """The last offset that ``group`` has committed for each partition of ``topics``; -1 for none. Blocks."""
    consumer = Consumer(
        {
            **settings.kafka_client,
            "group.id": settings.topic_prefix + group,
            "enable.auto.commit": False,
            "error_cb": lambda error: None,
        }
    )
    try:
        asked = [KafkaPartition(settings.topic(topic), n) for topic in topics for n in range(settings.partitions)]
        found = consumer.committed(asked, timeout=15)
    except KafkaException as error:
        raise StoreAway(f"Kafka did not say what {group} has committed: {error}") from error
    finally:
        consumer.close()
    prefix = len(settings.topic_prefix)
    return {TopicPartition(one.topic[prefix:], one.partition): max(one.offset, 0) - 1 for one in found}


async def wait_for(
    positions: Callable[[], Awaitable[Offsets]],
    ends: Offsets,
    patience: float,
    moved: Callable[[int], None] = lambda left: None,
) -> dict[TopicPartition, tuple[int, int]]:
    """Wait until ``positions`` have reached ``ends`` in every partition that they name.

    Gives back the partitions that are behind, as (position, end), once nothing has moved for ``patience`` seconds;
    nothing when all are there. ``moved`` hears how many records are left. A store that is away counts as standing.
    """
    last_left, last_move = -1, time.monotonic()
    behind: dict[TopicPartition, tuple[int, int]] = {}
    while True:
        try:
            found = await positions()
        except StoreAway:
            if time.monotonic() - last_move > patience:
                raise
        else:
            behind = {tp: (at, ends[tp]) for tp, at in found.items() if at < ends[tp]}
            left = sum(end - at for at, end in behind.values())
            moved(left)
            if not behind:
                return {}
            if left != last_left:
                last_left, last_move = left, time.monotonic()
            elif time.monotonic() - last_move > patience:
                return behind
        await asyncio.sleep(_POLL_SECONDS)
