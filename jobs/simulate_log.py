"""A simulated world, written straight into the log: as fast as the broker takes it, in the world's order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.simulate_kills import Killer
from jobs.world import Reuse, Step, Upload, World, event_of
from jobs.world_doings import doings
from schemas.codec import Undecodable, decode
from schemas.events import Event, MediaRejected, RenderedMedia, RenditionsReady, Source, StoryHighlighted
from sinks.cassandra import Cassandra
from sinks.object_store import ObjectStore
from sinks.person_keys import PersonKeys
from sinks.producer import Producer, Written
from sinks.settings import Settings

AT_ONCE = 5000
_TEMPLATE_SECONDS = 120.0


def count(counts: Counter[str], steps: Iterable[Step]) -> None:
    """Count what people did, by the names of the events; pictures that were reused and files that were torn apart."""
    for step in steps:
        counts["reused" if isinstance(step, Reuse) else type(event_of(step)).__name__] += 1
        counts["torn"] += isinstance(step, Upload) and step.photo.name.startswith("torn-")


Moved = Callable[[str, int, int], None]
"""Is told the phase, how much of it is done, and how much there is."""


class NoRenditions(RuntimeError):
    """The media agent has not rendered any template: it does not run, or every photo was refused."""


class LogSimulation:
    """Writes one world into the log of ``settings``."""

    def __init__(self, settings: Settings, world: World, moved: Moved, killer: Killer | None, rate: float) -> None:
        """``rate`` bounds the world's events per second, 0 for none; the accounts and the graph are never held back."""
        self._settings, self._world, self._moved, self._killer = settings, world, moved, killer
        self._rate = rate
        self._store = ObjectStore.of(settings)
        self._producer: Producer
        self._rendered: list[tuple[Source, RenderedMedia]] = []
        self._share = 0.0
        """Of the world's events, what is written."""
        self.counts: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    async def run(self) -> None:
        """Accounts, templates, graph, then what people do. Raises ``StoreAway``, ``NoRenditions``, ``NoAgents``."""
        world = self._world
        async with Producer(self._settings, timeout_seconds=60.0) as self._producer:
            began = self._clock("keys", time.monotonic())
            await self._keys()
            began = self._clock("accounts", began)
            people = len(world.people)
            self.counts["accounts"] = await self._write("accounts", world.accounts(), people)
            began = self._clock("templates", began)
            await self._templates()
            began = self._clock("graph", began)
            self.counts["graph_follows"] = await self._write("graph", world.follows(), len(world.graph))
            began = self._clock("events", began)
            await self._doings()
            self._clock("", began)

    def _clock(self, phase: str, began: float) -> float:
        now = time.monotonic()
        if self.seconds:
            last = next(reversed(self.seconds))
            self.seconds[last] = round(now - began, 3)
        if phase:
            self.seconds[phase] = 0.0
        return now

    async def _keys(self) -> None:
        people, done = iter(self._world.people), 0
        async with await Cassandra.connect(self._settings) as cassandra:
            keys = PersonKeys(cassandra)
            while some := list(islice(people, AT_ONCE)):
                await keys.create_many({user: self._world.person_key(user) for user in some})
                done += len(some)
                self._moved("keys", done, len(self._world.people))

    async def _templates(self) -> None:
        """Upload each photo once, the whole way, and wait until it is rendered or refused."""
        uploads = list(self._world.templates())
        for upload in uploads:
            await self._store.put(upload.event.original_key, upload.photo.body)
        written = await self._producer.produce_many([upload.event for upload in uploads])
        self.counts["templates"] = len(uploads)
        places = {upload.event.media_id: place for upload, place in zip(uploads, written, strict=True)}
        outcomes = await asyncio.to_thread(self._outcomes, places)
        for upload in uploads:
            rendered, ((topic, partition), offset) = outcomes[upload.event.media_id], places[upload.event.media_id]
            if rendered is not None:
                self._rendered.append((Source(topic=topic, partition=partition, offset=offset, n=0), rendered))
        if not self._rendered:
            raise NoRenditions("every photo was refused; simulate needs one that can be shown")

    def _outcomes(self, places: Mapping[int, Written]) -> dict[int, RenderedMedia | None]:
        settings = self._settings
        consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic_prefix + "simulate",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "error_cb": lambda error: None,
            }
        )
        starts: dict[int, int] = {}
        for (_, partition), offset in places.values():
            starts[partition] = min(offset, starts.get(partition, offset))
        consumer.assign([KafkaPartition(settings.topic("media"), *start) for start in starts.items()])
        outcomes: dict[int, RenderedMedia | None] = {}
        deadline = time.monotonic() + _TEMPLATE_SECONDS
        try:
            while len(outcomes) < len(places):
                if time.monotonic() > deadline:
                    raise NoRenditions(
                        f"{len(places) - len(outcomes)} photos are neither rendered nor refused after "
                        f"{_TEMPLATE_SECONDS:.0f} s: does the media agent run?"
                    )
                for message in consumer.consume(500, timeout=0.1):
                    with suppress(Undecodable):
                        event = decode(message.value() if message.error() is None else None)
                        if isinstance(event, RenditionsReady | MediaRejected) and event.media_id in places:
                            outcomes[event.media_id] = event.media if isinstance(event, RenditionsReady) else None
                self._moved("templates", len(outcomes), len(places))
        finally:
            consumer.close()
        return outcomes

    async def _doings(self) -> None:
        killing = asyncio.create_task(self._killer.run(lambda: self._share)) if self._killer else None
        try:
            await self._write("events", doings(self._world), self._world.plan.events, self._rate)
            self._share = 1.0
            if killing is not None:
                self._moved("killing on", 0, 0)
                await killing
        finally:
            if killing is not None and not killing.done():
                killing.cancel()

    async def _write(self, phase: str, steps: Iterable[Step], total: int, rate: float = 0.0) -> int:
        """Write all ``steps``, at most ``rate`` of them in a second; gives back how many there were."""
        at_once = min(AT_ONCE, max(int(rate / 4), 1)) if rate else AT_ONCE
        rest, done, events, began = iter(steps), 0, 0, time.monotonic()
        while some := list(islice(rest, at_once)):
            for step in some:
                if isinstance(step, Upload):
                    await self._store.put(step.event.original_key, step.photo.body)
            await self._producer.produce_many([self._event(step) for step in some])
            done += len(some)
            events += sum(not isinstance(step, Reuse) for step in some)
            if phase == "events":
                count(self.counts, some)
                self._share = events / total
            self._moved(phase, events, total)
            if rate:
                await asyncio.sleep(max(began + done / rate - time.monotonic(), 0))
        return done

    def _event(self, step: Step) -> Event:
        if isinstance(step, StoryHighlighted):
            # As of a story: which template its picture is of, its id says.
            media: Any = msgspec.structs.replace(self._template(step.media.media_id)[1], media_id=step.media.media_id)
            return msgspec.structs.replace(step, media=media)
        return self._ready(step) if isinstance(step, Reuse) else event_of(step)

    def _template(self, number: int) -> tuple[Source, RenderedMedia]:
        return self._rendered[number % len(self._rendered)]

    def _ready(self, step: Reuse) -> RenditionsReady:
        source, rendered = self._template(step.template)
        media: Any = msgspec.structs.replace(rendered, media_id=step.media_id)
        return RenditionsReady(
            event_id=step.event_id,
            at=step.at,
            actor_id=step.owner_id,
            media_id=step.media_id,
            owner_id=step.owner_id,
            media=media,
            source=source,
        )
