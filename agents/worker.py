"""The Faust app of one worker process: its agents, and the service that feeds them.

Faust supervises, schedules and shuts down. Its own consumer is switched off by its own extension point, a boot
strategy; each agent's channel gets whole micro-batches from a ``KafkaSource`` instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Sequence
from typing import Any, cast

import faust
from faust.app.base import BootStrategy

from agents import metrics
from agents.delivery import Delivery, Limits, PoisonFlood
from agents.group import Group
from agents.kafka_source import AHEAD, KafkaSource
from agents.positions import RawBatch
from agents.stores import Stores
from agents.watchdog import Watchdog
from sinks.errors import StoreAway
from sinks.settings import Settings
from sinks.sink import Sink

logger = logging.getLogger(__name__)
LOG_CHECK_SECONDS = 5.0
EXIT_FAILED = 70
"""The status of a worker that ended itself (EX_SOFTWARE of sysexits.h)."""


class WithoutFaustsKafka(BootStrategy):
    """Starts agents and nothing that speaks to Kafka: no consumer, no producer, no tables, no web server."""

    enable_kafka = False
    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False


async def pause(tries: int) -> None:
    """Exponential from 50 ms to 5 s, with full jitter (the scheme of the AWS Architecture Blog, 2015)."""
    await asyncio.sleep(random.uniform(0.01, min(5.0, 0.05 * 2 ** min(tries, 7))))  # noqa: S311


def die(error: BaseException) -> None:
    """End this process at once: the fences make any moment a safe one, and a half-dead worker is not safe."""
    logger.critical("this worker ends: %s", error, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_FAILED)


class Fed:
    """One group in this worker: its source, its agent's channel, and the delivery between them."""

    def __init__(self, app: faust.App, group: Group, settings: Settings, slot: str) -> None:
        self.group = group
        self.source = KafkaSource(
            settings,
            group.name,
            group.view.sources,
            slot,
            *group.bounds_of(settings),
            group.partition_fetch_bytes,
        )
        self.gauges = metrics.ViewGauges(group.name)
        self.watchdog = Watchdog(settings.stall_seconds, time.monotonic)
        # Values pass through an agent's channel as they are; its types know of Kafka's messages only.
        self.channel = cast(Any, app.channel(maxsize=AHEAD + 2))
        self.delivery: Delivery[Any] | None = None
        self.halting: asyncio.Task[None] | None = None
        self.following: asyncio.Task[None] | None = None
        self.beside: asyncio.Task[None] | None = None
        self.flipped = asyncio.Event()
        """Another generation may be live than the one that is written."""

        async def agent(stream: faust.StreamT[RawBatch]) -> None:
            async for batch in stream:
                self.source.taken()
                await self.take(batch)

        app.agent(self.channel, name=group.name)(agent)

    async def take(self, batch: RawBatch) -> None:
        """Deliver one batch; whatever else escapes the error policy ends the process."""
        if self.halting is not None:
            return
        try:
            if self.delivery is None:
                raise RuntimeError("a batch came before its sink was open")
            self.gauges.fetched(batch.records)
            with self.gauges.seconds.time():
                in_sink = await self.delivery.deliver(batch)
            if in_sink:
                self.gauges.applied(batch.records, time.time())
        except PoisonFlood as flood:
            self.halt(flood)
        except Exception as error:
            die(error)

    def halt(self, why: PoisonFlood) -> None:
        """Let go of this group's partitions and read no more; the worker's other groups go on.

        The process stays: one that ended would be started again, and would bury the same records again, for ever.
        """
        logger.critical("%s is halted, and stays so until this worker is started anew: %s", self.group.name, why)
        self.gauges.happened("halted")
        self.halting = asyncio.create_task(self.source.stop())

    async def open(self, stores: Stores) -> None:
        """Open the sink of the live generation, waiting for stores that are away, and begin to read."""
        generation, sink = await self._open_live(stores)
        dead_letters = (await stores.dead_letters()).of(generation)
        limits = Limits.of(stores.settings), Limits.of(stores.settings)
        self.delivery = Delivery(self.group.view, sink, self.source, dead_letters, self.gauges, pause, *limits)
        self.source.note = _note(generation)
        self.source.start(sink.fences, self.channel.put, die)
        self.following = asyncio.create_task(self._follow(stores, generation))
        if self.group.beside is not None:
            self.beside = asyncio.create_task(self._beside(self.group.beside(stores)))

    async def _open_live(self, stores: Stores) -> tuple[int, Sink[Any]]:
        tries = 0
        while True:
            try:
                self.flipped.clear()
                generation = (await stores.generations())[self.group.name]
                return generation, await self.group.open_sink(stores, self.source, generation)
            except StoreAway as away:
                tries += 1
                logger.warning("%s: waiting for its stores: %s", self.group.name, away)
                await pause(tries)

    async def _follow(self, stores: Stores, generation: int) -> None:
        """Go over to each generation that becomes live. The batch in hand goes to the old one, which harms nobody."""
        try:
            while self.delivery is not None:
                await self.flipped.wait()
                live, sink = await self._open_live(stores)
                dead_letters = (await stores.dead_letters()).of(live)
                if live != generation:
                    generation = live
                    # At once, without an await in between: no batch of the old epoch reaches the new sink.
                    self.delivery.sink, self.delivery.dead_letters = sink, dead_letters
                    self.source.restart(sink.fences, _note(generation))
                    logger.info("%s: goes on in generation %d", self.group.name, generation)
        except Exception as error:
            die(error)

    async def _beside(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            die(error)

    async def stop(self) -> None:
        """Let go of the partitions."""
        for task in (self.following, self.beside):
            if task is not None:
                task.cancel()
        await self.source.stop()

    def look(self, answers: int) -> None:
        """Publish the lag, and end a worker that stands still. A view that is halted grows old."""
        lag = self.source.lag()
        self.gauges.lag(lag, time.time())
        if self.halting is not None:
            return
        waiting = self.delivery is None or self.delivery.waiting
        self.watchdog.look(self.source.applied_offsets, lag, waiting, answers)


def _note(generation: int) -> str:
    """What commits for monitors say of the view: replay waits for it after a flip."""
    return f"generation={generation}"


def build_app(settings: Settings, groups: Sequence[Group], slot: str) -> faust.App:
    """The app of a worker that runs ``groups`` as ``slot``, the name that outlives its processes."""
    folder = settings.shutterlog_home / "faust" / slot
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        f"shutterlog-{slot}",
        broker=f"kafka://{settings.kafka_bootstrap}",
        web_enabled=False,
        topic_disable_leader=True,
        autodiscover=False,
        datadir=folder,
    )
    app.boot_strategy = WithoutFaustsKafka(app)
    fed = [Fed(app, group, settings, slot) for group in groups]

    @app.service
    class Sources(faust.Service):
        """Opens the stores, then the sinks and their sources; closes them in reverse order."""

        stores: Stores

        async def on_start(self) -> None:
            # With Faust's consumer off, nobody else lets the agents' channels flow.
            app.flow_control.resume()
            self.stores = Stores(settings, self.flipped)
            logger.info("metrics on port %d", metrics.serve(settings.metrics_host, settings.metrics_port))
            await asyncio.gather(*(one.open(self.stores) for one in fed))

        @faust.Service.timer(1.0)
        async def look(self) -> None:
            try:
                for one in fed:
                    one.look(self.stores.answers)
            except Exception as error:
                die(error)

        @faust.Service.timer(LOG_CHECK_SECONDS)
        async def check_log(self) -> None:
            try:
                await self.stores.check_log()
            except Exception as error:
                die(error)

        def flipped(self, view: str, generation: int) -> None:
            for one in fed:
                if one.group.name == view:
                    one.flipped.set()

        async def on_stop(self) -> None:
            await asyncio.gather(*(one.stop() for one in fed))
            await self.stores.__aexit__()

    return app
