"""Which generation of each view is live: a compacted topic, which agents and gateways follow without a restart.

One record for each view, under its name: all its generations and what is known of them. The topic, and not Redis, holds
this, since it has to outlive what it points to. A view of which it says nothing has generation 1, live.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from sinks.errors import StoreAway
from sinks.producer import failure
from sinks.settings import Settings

logger = logging.getLogger(__name__)
TOPIC = "generations"
FIRST = 1
_POLL_SECONDS = 0.5
_READ_SECONDS = 15.0

State = Literal["building", "live", "kept"]


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """One generation of a view. ``building``: not yet whole, and only replay writes it; ``live``: agents write and
    readers read it; ``kept``: it was live, and nobody writes it until ``rollback`` brings it up to date."""

    number: int
    state: State
    since: int
    """Time in ms since 1970 at which it came into this state."""
    refused: int = 0
    """Records that the view refused while this generation was built: it is tainted by them."""
    built_to: dict[str, int] = {}
    """``topic-partition`` → last offset that replay had applied when it became live: what was refused later stands in
    the DLQ."""


class Generations(msgspec.Struct, frozen=True, kw_only=True):
    """All generations of one view, oldest first."""

    view: str
    all: tuple[Generation, ...] = (Generation(number=FIRST, state="live", since=0),)
    highest: int = FIRST
    """The highest number ever given. None is given twice: the fences of one that was dropped are deleted in Cassandra
    at the clock's time, which would hide every later fence."""

    def __post_init__(self) -> None:
        if sum(one.state == "live" for one in self.all) != 1:
            raise ValueError(f"{self.view}: exactly one generation is live")

    @property
    def live(self) -> int:
        """The number of the one that is live."""
        return next(one.number for one in self.all if one.state == "live")

    def of(self, number: int) -> Generation:
        """The generation ``number``; raises LookupError."""
        for one in self.all:
            if one.number == number:
                return one
        raise LookupError(
            f"{self.view} has no generation {number}; it has {', '.join(str(g.number) for g in self.all)}"
        )

    def building(self) -> Generation | None:
        """The one that is being built, if there is one: at most one is."""
        return next((one for one in self.all if one.state == "building"), None)

    def kept(self) -> Generation | None:
        """The newest of those that were live, if one is kept: what ``rollback`` goes back to."""
        return max((one for one in self.all if one.state == "kept"), key=lambda one: one.since, default=None)

    def begun(self, now: int) -> Generations:
        """With one more generation, to be built. Raises ValueError where one is being built already."""
        if self.building() is not None:
            raise ValueError(f"{self.view}: a generation is being built already")
        begun = msgspec.structs.replace(self, highest=self.highest + 1)
        return begun._with(*self.all, Generation(number=begun.highest, state="building", since=now))

    def flipped(
        self, number: int, now: int, refused: int | None = None, built_to: dict[str, int] | None = None
    ) -> Generations:
        """With ``number`` live, and the one that was live kept."""
        chosen = self.of(number)
        chosen = msgspec.structs.replace(
            chosen,
            state="live",
            since=now,
            refused=chosen.refused if refused is None else refused,
            built_to=chosen.built_to if built_to is None else built_to,
        )
        rest = [
            msgspec.structs.replace(one, state="kept", since=now) if one.state == "live" else one
            for one in self.all
            if one.number != number
        ]
        return self._with(*rest, chosen)

    def dropped(self, number: int) -> Generations:
        """Without ``number``. Raises ValueError for the live one, and LookupError for one that is not there."""
        if self.of(number).state == "live":
            raise ValueError(f"generation {number} of {self.view} is live: flip to another one first")
        return self._with(*(one for one in self.all if one.number != number))

    def _with(self, *generations: Generation) -> Generations:
        ordered = tuple(sorted(generations, key=lambda one: one.number))
        return msgspec.structs.replace(self, all=ordered)


def now_ms() -> int:
    """The time in ms since 1970."""
    return time.time_ns() // 1_000_000


class _Reading:
    """A consumer of the whole topic, with what it has read."""

    def __init__(self, settings: Settings) -> None:
        self.read: dict[str, Generations] = {}
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "generations",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "error_cb": lambda error: logger.warning("generations: %s", error),
            }
        )
        self._partition = KafkaPartition(settings.topic(TOPIC), 0, 0)

    def to_end(self) -> None:
        """Read what there is now. Raises ``StoreAway`` and ``TopicMissing``."""
        name = self._partition.topic
        try:
            missing = self._consumer.list_topics(name, timeout=_READ_SECONDS).topics[name].error
        except KafkaException as error:
            raise failure(error.args[0]) from error
        if missing is not None:
            raise failure(missing)
        self._consumer.assign([self._partition])
        deadline = time.monotonic() + _READ_SECONDS
        while not self.step(_POLL_SECONDS):
            if time.monotonic() > deadline:
                raise StoreAway(f"Kafka did not give the topic {TOPIC} within {_READ_SECONDS:.0f} s")

    def step(self, seconds: float) -> bool:
        """Take one record, if one comes; whether the end is reached."""
        message = self._consumer.poll(seconds)
        if message is None:
            return False
        error = message.error()
        if error is None:
            self._take(message)
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            return True
        logger.warning("generations: %s", error.str())
        return False

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        view = (key if isinstance(key, bytes) else b"").decode(errors="replace")
        try:
            if value is None:
                self.read.pop(view, None)
            else:
                self.read[view] = msgspec.json.decode(value, type=Generations)
        except (msgspec.DecodeError, ValueError) as error:
            # What was known of the view still holds: a foreign record must not send readers back to generation 1.
            logger.error("generations: the record of %r at offset %s is none: %s", view, message.offset(), error)

    def close(self) -> None:
        self._consumer.close()


class GenerationLog:
    """Reads and writes the pointers, for jobs. Blocks: call it through ``asyncio.to_thread``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self) -> dict[str, Generations]:
        """What is said of each view; nothing of those that never had a second generation. Raises ``StoreAway`` and
        ``TopicMissing``."""
        reading = _Reading(self._settings)
        try:
            reading.to_end()
            return reading.read
        finally:
            reading.close()

    def of(self, view: str) -> Generations:
        """The generations of ``view``."""
        return self.read().get(view) or Generations(view=view)

    def write(self, generations: Generations) -> None:
        """Say it to all agents and gateways; returns once it is acknowledged. Raises ``StoreAway``."""
        config: dict[str, Any] = {
            **self._settings.kafka_client,
            "enable.idempotence": True,
            "delivery.timeout.ms": int(_READ_SECONDS * 1000),
            "error_cb": lambda error: logger.warning("generations: %s", error),
        }
        failures: list[KafkaError] = []
        producer = Producer(config)
        value = msgspec.json.encode(generations)
        producer.produce(
            self._settings.topic(TOPIC),
            value,
            generations.view.encode(),
            partition=0,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        if producer.flush(_READ_SECONDS + 1) or failures:
            if failures:
                raise failure(failures[0])
            raise StoreAway("Kafka did not acknowledge the generation")


Changed = Callable[[str, int], None]
"""(view, its live generation), called on the event loop."""


class LiveGenerations:
    """The live generation of each view as last heard, followed from the topic by a thread of its own.

    While Kafka is away what was heard last holds.
    """

    def __init__(self, settings: Settings, changed: Changed = lambda view, number: None) -> None:
        self._settings = settings
        self._changed = changed
        self._live: dict[str, int] = {}
        self._stopping = threading.Event()
        self._reading: _Reading
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None

    def __getitem__(self, view: str) -> int:
        return self._live.get(view, FIRST)

    def snapshot(self) -> Mapping[str, int]:
        """What is live now, by view, for one request to hold on to; views that were never replayed are left out."""
        return self._live

    async def start(self) -> None:
        """Read the topic to its end, then follow it. Raises ``StoreAway`` and ``TopicMissing``."""
        self._loop = asyncio.get_running_loop()
        reading = _Reading(self._settings)
        try:
            await asyncio.to_thread(reading.to_end)
        except BaseException:
            reading.close()
            raise
        self._reading = reading
        self._live = {view: one.live for view, one in reading.read.items()}
        self._thread = threading.Thread(target=self._follow, name="generations", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Leave the thread."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _follow(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._reading.step(_POLL_SECONDS)
                except KafkaException as error:
                    logger.warning("generations: %s", error)
                    self._stopping.wait(1.0)
                    continue
                heard = {view: one.live for view, one in self._reading.read.items()}
                if heard != self._live:
                    before, self._live = self._live, heard  # a new mapping: snapshots stay as they are
                    for view in heard.keys() | before.keys():
                        if heard.get(view, FIRST) != before.get(view, FIRST):
                            logger.info("%s: generation %d is live", view, heard.get(view, FIRST))
                            self._loop.call_soon_threadsafe(self._changed, view, heard.get(view, FIRST))
        finally:
            self._reading.close()
