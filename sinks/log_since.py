"""Of whom the log has spoken since some moment: by that, what a gateway remembers can be told from what is out of date
where the views themselves cannot be asked.

Only keys are looked at, and no event is decoded: whatever was said under a key, all that was known of it counts as
unknown.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from sinks.errors import StoreAway
from sinks.producer import TopicMissing
from sinks.settings import Settings
from sinks.topics import Topics
from streams.records import TopicPartition

logger = logging.getLogger(__name__)
CURRENT_SECONDS = 1.0
"""What is known of the log is at most so old."""
PATIENCE_SECONDS = 3.0
_REST_SECONDS = 10.0
"""Nobody asks any more: the log is not read on."""
_PACE_SECONDS = 0.25
_FETCHED = 2_000
_MOST_KEYS = 1_000_000


class Said:
    """What the log has said after ``base``, which is the last offset of each partition that was known then."""

    def __init__(self, base: Mapping[TopicPartition, int]) -> None:
        self._base = dict(base)
        self._last: dict[tuple[str, bytes], int] = {}
        self.reached = dict(base)

    def take(self, tp: TopicPartition, offset: int, key: bytes | None) -> None:
        """There is a record at ``offset``."""
        self.reached[tp] = max(offset, self.reached[tp])
        if key is not None:
            self._last[tp.topic, key] = offset
        if len(self._last) > _MOST_KEYS:
            raise OverflowError("the log has said too much since")

    def nothing_since(self, tp: TopicPartition, key_id: int, fence: int) -> bool:
        """Whether nothing was said under ``key_id`` after the offset ``fence`` of its partition ``tp``."""
        base = self._base.get(tp)
        return base is not None and fence >= base and self._last.get((tp.topic, b"%d" % key_id), -1) <= fence


class LogSince:
    """Reads the log while somebody asks, in a thread of its own. To be used on one event loop."""

    def __init__(self, settings: Settings, topics: Topics, names: Collection[str]) -> None:
        """``names``: of the topics that are read."""
        self._settings, self._topics, self._names = settings, topics, frozenset(names)
        self._said: Said | None = None
        self._whole_at = self._asked = float("-inf")
        self._moved = asyncio.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    async def after(self, base: Mapping[TopicPartition, int]) -> Said:
        """What was said after ``base``, or after an earlier moment, up to now. Raises ``StoreAway`` where the log
        cannot be read to its end."""
        loop = asyncio.get_running_loop()
        self._asked = asked = time.monotonic()
        if self._thread is None or not self._thread.is_alive():
            self._said, self._whole_at = Said({tp: at for tp, at in base.items() if tp.topic in self._names}), -1.0
            self._thread = threading.Thread(target=self._run, args=(self._said, loop), name="log-since", daemon=True)
            self._thread.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._whole_at < asked - CURRENT_SECONDS:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError as error:
            raise StoreAway("the log cannot be read to its end") from error
        assert self._said is not None  # noqa: S101 (said above)
        return self._said

    async def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    # What follows runs in the thread.

    def _run(self, said: Said, loop: asyncio.AbstractEventLoop) -> None:
        consumer = Consumer(
            {
                **self._settings.kafka_client,
                "group.id": self._settings.topic("since"),
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_uncommitted",  # what was taken back does no harm here
                "fetch.wait.max.ms": 50,
                "error_cb": lambda error: logger.warning("since: %s", error),
            }
        )
        try:
            places = said.reached.items()
            consumer.assign([KafkaPartition(self._settings.topic(tp.topic), tp.partition, at + 1) for tp, at in places])
            while not self._stopping.is_set() and time.monotonic() - self._asked < _REST_SECONDS:
                began = time.monotonic()
                if self._read_on(consumer, said):
                    self._whole_at = began
                    loop.call_soon_threadsafe(self._moved.set)
                self._stopping.wait(_PACE_SECONDS)
        except (KafkaException, OverflowError, RuntimeError) as error:  # RuntimeError: the loop is gone
            logger.warning("since: %s", error)
        finally:
            consumer.close()

    def _read_on(self, consumer: Consumer, said: Said) -> bool:
        """Read to the end as it is now; whether it was reached."""
        try:
            ends = {tp: end for tp, end in self._topics.ends().items() if tp.topic in self._names}
        except (StoreAway, TopicMissing):
            return False
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(said.reached.get(tp, -1) < end for tp, end in ends.items()):
            for message in consumer.consume(_FETCHED, timeout=0.1):
                self._take(message, said)
            if self._stopping.is_set() or time.monotonic() > deadline:
                return False
        return True

    def _take(self, message: Message, said: Said) -> None:
        error = message.error()
        topic = (message.topic() or "")[len(self._settings.topic_prefix) :]
        tp, offset = TopicPartition(topic, message.partition() or 0), message.offset() or 0
        if error is None:
            said.take(tp, offset, message.key())
        elif error.code() == KafkaError._PARTITION_EOF:
            said.take(tp, offset - 1, None)
        elif not error.retriable() and error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            raise KafkaException(error)
