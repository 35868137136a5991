"""The live end of the topic ``notifications``: one consumer for a gateway, whatever number of connections listens.

What came last of each partition is kept, within a bound, so that whoever lost a connection goes on without a gap. A
listener is a place in that and has no queue of its own: one that is slow costs nothing and holds up nobody, and is told
where it was left so far behind that something is not kept any more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from schemas.codec import Undecodable, decode_record
from schemas.events import NoticeWithdrawn, NotificationPreferencesChanged, Notified, UploadFailed
from sinks.errors import StoreAway
from sinks.partitioning import partition_of
from sinks.producer import failure
from sinks.settings import Settings
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
TOPIC = "notifications"
KEPT = 4_000
"""Notices of each partition that can be gone back to: some 2 MiB each."""
AT_ONCE = 50
"""Notices that a listener is given at once."""
_START_SECONDS = 15.0
_POLL_SECONDS = 0.5
_FETCHED = 1_000

News = Notified | NoticeWithdrawn | UploadFailed | NotificationPreferencesChanged


class Placed(NamedTuple):
    """An event, and its offset in the recipient's partition."""

    offset: int
    event: News


class Listener:
    """One connection of one person: a place in what is kept, and nothing else, however slow it is."""

    __slots__ = ("_last", "_mine", "_woken", "missed", "since", "tp")

    def __init__(self, tp: TopicPartition, since: int, missed: bool, mine: deque[Placed], last: list[int]) -> None:
        """``since`` is the place after which it listens, ``mine`` what is kept of the person and ``last`` the offset of
        each partition up to which all of it was, which the tail fills."""
        self._last = last
        self.tp = tp
        self.since = since
        self.missed = missed
        """Something that was to come next is not kept any more; for the reader to take back."""
        self._mine = mine
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    def left_out(self, offset: int) -> None:
        """What stood at ``offset`` is not kept any more."""
        self.missed = self.missed or offset > self.since

    async def take(self, seconds: float) -> list[Placed]:
        """What came next, in order, once there is something, at most ``AT_ONCE``; nothing after ``seconds``.

        ``since`` moves with it. Where nothing came it moves on with the log, in one step with looking: a moment later
        something could stand below it that was not taken.
        """
        self._woken.clear()
        if not (taken := self._next()):
            try:
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
            except TimeoutError:
                pass
            taken = self._next()
        self.since = taken[-1].offset if taken else max(self._last[self.tp.partition], self.since)
        return taken

    def _next(self) -> list[Placed]:
        # The newest stand last; usually all but a few have been taken.
        new = list(takewhile(lambda placed: placed.offset > self.since, reversed(self._mine)))
        return new[: -AT_ONCE - 1 : -1]


class NoticeTail:
    """Follows the topic from the first listener on. To be used on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: list[deque[tuple[int, Placed]]] = [deque() for _ in range(settings.partitions)]
        self._of: dict[int, deque[Placed]] = {}
        """What is kept of each person, and an empty place for each who listens."""
        self._from = [0] * settings.partitions
        """The offset from which on everything is kept."""
        self._last = [-1] * settings.partitions
        self._listeners: dict[int, set[Listener]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop

    async def ready(self) -> None:
        """Wait until the tail has come to the end of the log as it was at the first call. Raises ``StoreAway``."""
        if self._starting is None or (self._starting.done() and self._starting.exception() is not None):
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def of(self, recipient_id: int) -> TopicPartition:
        """The partition in which all of one person's notices stand."""
        return TopicPartition(TOPIC, partition_of(b"%d" % recipient_id, self._settings.partitions))

    @contextmanager
    def listening(self, recipient_id: int, since: int | None) -> Iterator[Listener]:
        """Listen from after the offset ``since`` on; without one, from now on. Nothing comes twice or not at all,
        unless it says that it ``missed``."""
        tp = self.of(recipient_id)
        last, first = self._last[tp.partition], self._from[tp.partition]
        missed = since is not None and (since + 1 < first or since > last)
        kept = self._of.setdefault(recipient_id, deque())
        listener = Listener(tp, last if since is None or missed else since, missed, kept, self._last)
        mine = self._listeners.setdefault(recipient_id, set())
        mine.add(listener)
        try:
            yield listener
        finally:
            mine.discard(listener)
            if not mine:
                self._listeners.pop(recipient_id, None)
                if not kept:
                    self._of.pop(recipient_id, None)

    def listeners(self, recipient_id: int) -> int:
        """How many connections one person has."""
        return len(self._listeners.get(recipient_id, ()))

    async def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        consumer = Consumer(
            {
                **self._settings.kafka_client,
                "group.id": self._settings.topic("live"),
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
                "error_cb": lambda error: logger.warning("live: %s", error),
            }
        )
        try:
            self._last[:] = await asyncio.to_thread(self._place, consumer)  # which listeners hold
        except KafkaException as error:
            consumer.close()
            raise failure(error.args[0]) from error
        reached = asyncio.Event()
        missing = set(range(self._settings.partitions))

        def at_end(partition: int) -> None:
            missing.discard(partition)
            if not missing:
                reached.set()

        self._thread = threading.Thread(target=self._run, args=(consumer, at_end), name="live", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await reached.wait()
        except TimeoutError as error:
            await self.stop()
            self._stopping.clear()
            raise StoreAway("Kafka did not give the newest notices in time") from error

    def _place(self, consumer: Consumer) -> list[int]:
        """Go back by what is kept; the offset before the first that will come, of each partition."""
        topic, places = self._settings.topic(TOPIC), []
        for partition in range(self._settings.partitions):
            low, high = consumer.get_watermark_offsets(KafkaPartition(topic, partition), timeout=_START_SECONDS)
            places.append(max(low, high - KEPT))
        self._from = list(places)
        for kept in self._kept:
            kept.clear()
        self._of.clear()
        consumer.assign([KafkaPartition(topic, partition, place) for partition, place in enumerate(places)])
        return [place - 1 for place in places]

    def _run(self, consumer: Consumer, at_end: Callable[[int], None]) -> None:
        try:
            while not self._stopping.is_set():
                first = consumer.poll(_POLL_SECONDS)
                if first is not None:
                    messages = [first, *consumer.consume(_FETCHED, timeout=0)]  # what is there already
                    self._loop.call_soon_threadsafe(self._take, [_read(message) for message in messages], at_end)
        except RuntimeError:
            logger.info("live: the event loop is gone")
        finally:
            consumer.close()

    def _take(self, read: Iterable[tuple[int, int, News | None, bool]], at_end: Callable[[int], None]) -> None:
        for partition, offset, event, is_end in read:
            self._last[partition] = max(offset, self._last[partition])
            if is_end:
                at_end(partition)
            elif event is not None:
                self._keep(partition, Placed(offset, event))

    def _keep(self, partition: int, placed: Placed) -> None:
        kept, recipient = self._kept[partition], placed.event.recipient_id
        if len(kept) == KEPT:
            self._leave_out(partition, *kept.popleft())
        kept.append((recipient, placed))
        self._of.setdefault(recipient, deque()).append(placed)
        for listener in self._listeners.get(recipient, ()):
            listener.wake()

    def _leave_out(self, partition: int, recipient: int, placed: Placed) -> None:
        self._from[partition] = placed.offset + 1
        mine = self._of[recipient]
        mine.popleft()
        listeners = self._listeners.get(recipient, ())
        for listener in listeners:
            listener.left_out(placed.offset)
        if not mine and not listeners:
            del self._of[recipient]


def _read(message: Message) -> tuple[int, int, News | None, bool]:
    """(partition, offset, the event or None for what is none, whether the partition ends after it)"""
    partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:
            return partition, offset - 1, None, True
        logger.warning("live: %s", error.str())
        return partition, -1, None, False
    try:
        event = decode_record(TOPIC, message.key(), message.value())
    except Undecodable:
        return partition, offset, None, False  # the view buries it
    return partition, offset, event if isinstance(event, News) else None, False
