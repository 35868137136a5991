"""Micro-batches from Kafka, by a librdkafka consumer on a thread of its own.

Faust's own consumer is not used: it costs about 25 µs an event and can lose events after an exception
(docs/architecture.md). The thread fetches batch N+1 while batch N is applied; no more than ``AHEAD`` are in memory.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from agents.kafka_records import consumer_of, records_of
from agents.lag import LagMeter
from agents.positions import Positions, RawBatch
from sinks.errors import LogRemade, StoreAway
from sinks.settings import Settings
from streams.records import Spans, TopicPartition

logger = logging.getLogger(__name__)
FETCH_BYTES = 131_072
"""What one fetch brings of one partition, about, where the group does not say."""

AHEAD = 2
"""Batches in memory besides the one that is being applied."""
_POLL_SECONDS = 0.1
_LAG_SECONDS = 1.0
_FENCES_SECONDS = 0.005
_ROOM_SECONDS = 0.01
_HOLD_SECONDS = 1.0
Fences = Callable[[Collection[TopicPartition]], Awaitable[dict[TopicPartition, int]]]
Put = Callable[[RawBatch], Coroutine[Any, Any, Any]]


class KafkaSource:
    """Reads ``topics`` as a member of ``group`` and hands micro-batches to ``put``, from the sinks' own fences on.

    ``fail`` is called, on the loop, with whatever ends the thread. ``batch_events`` bounds a batch's records.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Collection[str],
        slot: str,
        batch_events: int,
        batch_wait_seconds: float,
        partition_fetch_bytes: int = FETCH_BYTES,
    ) -> None:
        self._settings = settings
        self.slot = slot
        self._group = group
        self._topics = [settings.topic(topic) for topic in topics]
        self._batch_events = batch_events
        self._batch_wait = batch_wait_seconds
        self._positions = Positions()
        self._lock = threading.Lock()
        self._applied: dict[TopicPartition, int] = {}
        self._unplaced: list[TopicPartition] = []
        self._calls: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()
        self._commits: dict[TopicPartition, int] = {}
        self._measured = 0.0
        self._looked = time.monotonic()
        self._rewound = False
        self.commits_for_monitors = True
        """False where the sink commits by itself: one of ours, said later of an earlier batch, would undo its own."""
        self.note = ""
        """Goes with each commit for monitors, as its metadata."""
        self._stopping = threading.Event()
        self._room = threading.Semaphore(AHEAD)
        self._thread = threading.Thread(target=self._run, name=f"source-{group}", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._fences: Fences
        self._put: Put
        self._fail: Callable[[BaseException], None]
        self.consumer = consumer_of(settings, group, slot, partition_fetch_bytes)
        self._lag = LagMeter(self.consumer, self._kafka)

    @property
    def epoch(self) -> int:
        """The current epoch; batches of another one are void."""
        return self._positions.epoch

    def start(self, fences: Fences, put: Put, fail: Callable[[BaseException], None]) -> None:
        """Begin to read; to be called on the event loop on which ``fences`` and ``put`` run."""
        self._loop = asyncio.get_running_loop()
        self._fences, self._put, self._fail = fences, put, fail
        self._thread.start()

    def restart(self, fences: Fences, note: str = "") -> None:
        """Go over to other sinks: what is assigned begins anew at their fences, in a new epoch. ``note`` goes with the
        commits for monitors, the first of which says where these sinks stand."""
        with self._lock:
            self._fences, self.note = fences, note
            assigned = [*self._positions.last, *self._unplaced]
            self._positions.assign({})
            self._unplaced = assigned
            self._commits.clear()

    async def on_thread(self, call: Callable[[], Any]) -> Any:
        """``call()``, made on the source's thread: the consumer lets in one thread at a time, and that one polls."""
        answer: Future[Any] = Future()
        self._calls.put((call, answer))
        return await asyncio.wrap_future(answer)

    def holds(self, tp: TopicPartition) -> bool:
        """Whether ``tp`` is assigned to this member."""
        with self._lock:
            return tp in self._positions.last or tp in self._unplaced

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The sink commits by itself, and has come this far: maybe in the middle of a batch."""
        with self._lock:
            self._applied.update({tp: offset for tp, offset in offsets.items() if tp in self._positions.last})

    def _make_calls(self) -> None:
        while not self._calls.empty():
            call, answer = self._calls.get_nowait()
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(call())
                except Exception as error:
                    answer.set_exception(error)

    async def stop(self) -> None:
        """Let go of the partitions and leave the thread, if it ever began."""
        self._stopping.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, 30)

    def rewind(self, fences: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets, in a new epoch."""
        with self._lock:
            self._positions.rewind(fences)
            self._rewound = True

    def taken(self) -> None:
        """A batch has left memory: there is room for another."""
        self._room.release()

    def applied(self, spans: Spans) -> None:
        """Commit, for lag monitors only. Nothing is read from these offsets but by emitters, who commit themselves."""
        with self._lock:
            self._applied.update({tp: span.last for tp, span in spans.items()})
            if self.commits_for_monitors:
                self._commits.update({tp: span.last for tp, span in spans.items() if span.last > span.prior})

    def _commit(self) -> None:
        with self._lock:
            held, note = self._positions.last, self.note
            offsets = [self._kafka(tp, last + 1, note) for tp, last in self._commits.items() if tp in held]
            self._commits.clear()
        if offsets:
            try:
                self.consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                logger.info("%s: the lag monitors will be late: %s", self._group, error)

    def lag(self) -> Mapping[TopicPartition, int]:
        """Records of each assigned partition that are in the log, as last heard, and not yet in the sink."""
        return self._lag.behind

    @property
    def applied_offsets(self) -> Mapping[TopicPartition, int]:
        """The last offset in the sink, of each assigned partition."""
        with self._lock:
            return {tp: self._applied.get(tp, -1) for tp in self._positions.last}

    def _measure(self) -> None:
        """Now and then, whether or not there is room for a batch: the watchdog looks at the lag. On the source's own
        thread: the calls wait for a ``consume`` that another one is in."""
        if time.monotonic() - self._measured >= _LAG_SECONDS:
            self._measured = time.monotonic()
            self._lag.measure(self.applied_offsets)
            self._commit()

    def _run(self) -> None:
        try:
            self.consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
            while not self._stopping.is_set():
                self._place()
                self._seek_where_rewound()
                self._make_calls()
                self._measure()
                messages = self.consumer.consume(self._batch_events, timeout=self._batch_wait)
                if (batch := self._batch(messages)) is not None:
                    # Here, beside the event loop: while that waits for a store, there is time for it.
                    batch.decoded  # noqa: B018
                    self._hand_over(batch)
                self._look_at_fences()
        except BaseException as error:
            self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            self.consumer.close()

    def _look_at_fences(self) -> None:
        """Now and then, an empty batch over all that is held. By the clock, and not only where nothing is read: one
        busy partition would leave what a store lost of the quiet ones unnoticed until their next records."""
        if time.monotonic() - self._looked < self._settings.idle_call_seconds:
            return
        self._looked = time.monotonic()
        with self._lock:
            batch = self._positions.idle()
        self._hand_over(batch)

    def _batch(self, messages: list[Message]) -> RawBatch | None:
        records, ends = records_of(messages, self._settings, self._group)
        with self._lock:
            if self._rewound or not (
                records or any(self._positions.last.get(tp, end) < end for tp, end in ends.items())
            ):
                return None
            return self._positions.advance(records, ends)

    def _hand_over(self, batch: RawBatch) -> None:
        """Wait for room, unless nothing is in it. If that takes long, fetching is given up meanwhile, so that the
        group sees this member alive and can rebalance. (Pausing instead would throw away what is fetched, at every full
        queue.)"""
        if not batch.spans:
            return
        until = time.monotonic() + _HOLD_SECONDS
        while not self._room.acquire(timeout=_ROOM_SECONDS):
            if self._stopping.is_set() or batch.epoch != self.epoch:
                return
            self._make_calls()
            self._measure()
            if time.monotonic() > until:
                if not self._rewound:
                    self._rewound = True
                    self.consumer.assign([])
                self._poll(0)
        asyncio.run_coroutine_threadsafe(self._put(batch), self._loop)

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        """Take the partitions, but fetch nothing yet: the sinks are asked once the rebalance is over, since a store
        that is away must not hold up the whole group."""
        with self._lock:
            self._positions.assign({})
            self._unplaced = [
                TopicPartition(one.topic.removeprefix(self._settings.topic_prefix), one.partition) for one in partitions
            ]
        consumer.assign([])

    def _place(self) -> None:
        """Start at the lowest fence of the sinks; Kafka's committed offsets are not asked (but by emitters' sinks)."""
        wanted = self._unplaced
        if not wanted:
            return
        fences = self._ask_fences(wanted)
        if fences is None or self._unplaced is not wanted:
            return
        for tp, fence in fences.items():
            low, high = self.consumer.get_watermark_offsets(self._kafka(tp), timeout=10)
            if fence >= high:
                raise LogRemade(
                    f"{tp} ends at offset {high - 1}, but a sink of {self._group} has applied up to {fence}: the log "
                    "was cut or remade. Restore it from a backup, or drop the view and let it be rebuilt."
                )
            if fence + 1 < low:
                raise LogRemade(f"{tp} begins at offset {low}, but {self._group} needs it from {fence + 1} on")
        with self._lock:
            if self._unplaced is not wanted:  # restarted since
                return
            self._unplaced = []
            self._positions.assign(fences)
            self._applied = dict(fences)
            if self.commits_for_monitors:
                self._commits = dict(fences)
            self._rewound = False
            self._assign_from_positions()
        logger.info("%s: assigned %s", self._group, ", ".join(f"{tp}@{offset}" for tp, offset in fences.items()))

    def _ask_fences(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int] | None:
        """The fences, or None where they cannot be had yet; the group sees this member alive meanwhile."""
        asked = asyncio.run_coroutine_threadsafe(_reached(self._fences, partitions), self._loop)
        while not asked.done():
            if self._stopping.is_set():
                return None
            self._make_calls()
            self._poll(_FENCES_SECONDS)
        fences = asked.result()
        if fences is None:
            self._poll(_POLL_SECONDS)
        return fences

    def _poll(self, seconds: float) -> None:
        """Let the group see this member while nothing is fetched. What is said here is said once: a member that was
        fenced off, and that did not hear it, would stand by for ever."""
        message = self.consumer.poll(seconds)
        if message is not None:
            records_of((message,), self._settings, self._group)

    def _on_revoke(self, consumer: Consumer, partitions: list[KafkaPartition]) -> None:
        with self._lock:
            self._positions.assign({})
            self._unplaced = []
        logger.info("%s: %d partitions revoked", self._group, len(partitions))

    def _seek_where_rewound(self) -> None:
        with self._lock:
            if self._rewound:
                self._rewound = False
                self._assign_from_positions()

    def _assign_from_positions(self) -> None:
        """Assigning anew, rather than seeking, drops all that is fetched already and cannot fail halfway. The offsets
        are plain numbers: for a logical one (beginning, end) librdkafka has to ask the broker first, and a partition
        that was paused or assigned again meanwhile was seen to stand still for ever."""
        partitions = [self._kafka(tp, last + 1) for tp, last in self._positions.last.items()]
        self.consumer.assign(partitions)

    def _kafka(self, tp: TopicPartition, offset: int = 0, note: str = "") -> KafkaPartition:
        return KafkaPartition(self._settings.topic(tp.topic), tp.partition, offset, note)


async def _reached(fences: Fences, partitions: list[TopicPartition]) -> dict[TopicPartition, int] | None:
    try:
        return await fences(partitions)
    except StoreAway as away:
        logger.warning("the fences cannot be read yet: %s", away)
        return None
