"""``shutterlog bench live``: how late notices come to 5,000 live streams of one gateway process, and what these take.

Notices are written to the topic ``notifications``, as the emitter does but without its transactions, at an even rate to
random people, each of whom has a stream; ``figure`` is the 99th percentile from there to the client. The yardstick is
an idle consumer of the same topic in the same run: what Kafka alone takes. A few people lose their connection again
and again meanwhile; what they and all others missed or got twice is counted, also in the seconds before, in which
producer, consumers and gateway do everything for the first time, and nothing is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from typing import IO, Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.bench_gateway import World, allow, opened, program
from jobs.bench_scene import AT
from schemas.codec import decode
from schemas.events import Notified, Source
from schemas.ids import snowflake
from sinks.settings import Settings
from sinks.topics import Topics

_TICK_SECONDS = 0.005


class Shape(NamedTuple):
    """How many streams, at what rate, for how long, after so many seconds that are not measured; and who loses
    connections, how often each."""

    streams: int = 5_000
    rate: float = 200.0
    seconds: float = 12.0
    losing: int = 5
    losses: int = 100
    actors: int = 100
    warm: float = 2.0


SHAPE = Shape()


def run(shape: Shape = SHAPE) -> dict[str, object]:
    """``figure`` and ``yardstick`` are ms, 99th percentiles from the event's production on."""
    return asyncio.run(_run(shape))


async def _run(shape: Shape) -> dict[str, Any]:
    descriptors = 2 * shape.streams + 2_000
    allow(descriptors)
    async with opened(Settings()) as world:
        actors = await world.register(shape.actors, 1)
        people = await world.log_in(await world.register(shape.streams, 2))
        losing = await world.log_in(await world.register(shape.losing, 3))
        async with world.serving() as gateway:
            told: dict[str, object] = {
                "port": gateway.port,
                "losses": shape.losses,
                "seconds": shape.warm + shape.seconds,
            }
            told |= {"steady": [one.token for one in people[:1]], "losing": []}
            await asyncio.to_thread(_first, told)
            before = gateway.resident()
            told |= {"steady": [one.token for one in people], "losing": [one.token for one in losing]}
            client = program("jobs.bench_live_client", told, descriptors)
            with client:
                assert client.stdin is not None and client.stdout is not None  # noqa: S101
                connected = json.loads(await asyncio.to_thread(client.stdout.readline))["connected"]
                memory = (gateway.resident() - before) / (connected + len(losing))
                spent, listener = gateway.processor_seconds(), _Idle(world.settings)
                _line(client.stdin)
                ids = [[one.user_id for one in people], [one.user_id for one in losing]]
                produced, to = await _produce(world, shape, actors, *ids)
                busy = gateway.processor_seconds() - spent  # with heartbeats, and with those who come again
                _line(client.stdin, str(len(produced)))
                came = json.loads(await asyncio.to_thread(client.stdout.readline))
            heard = await asyncio.to_thread(listener.stop)
    measured = {number: at for number, at in produced.items() if number > shape.rate * shape.warm}
    idle = [(at - measured[number]) * 1000 for number, at in heard if number in measured]
    late = [(at - measured[number]) * 1000 for got in came["steady"] for number, at in got if number in measured]
    figure, yardstick = float(np.percentile(late, 99)), float(np.percentile(idle, 99))
    missed, repeated = _compared(dict(zip(ids[0], came["steady"], strict=True)), to)
    losing_missed, losing_repeated = _compared(dict(zip(ids[1], came["losing"], strict=True)), to)
    return {
        "name": "live",
        "figure": round(figure, 1),
        "unit": "ms, 99th percentile from the notice in Kafka to the client",
        "yardstick": round(yardstick, 1),
        "yardstick_name": "an idle consumer of the same topic, 99th percentile",
        "ratio": round(yardstick / figure, 3),
        "samples": len(late),
        "p50_ms": round(float(np.percentile(late, 50)), 1),
        "yardstick_p50_ms": round(float(np.percentile(idle, 50)), 1),
        "connections": connected,
        "ended": came["ended"],
        "bytes_a_connection": round(memory),
        "events_per_second": shape.rate,
        "gateway_ms_an_event": round(busy / max(1, len(produced)) * 1000, 2),
        "missed": missed,
        "repeated": repeated,
        "losing": shape.losing,
        "losses_each": shape.losses,
        "losing_missed": losing_missed,
        "losing_repeated": losing_repeated,
    }


def _first(told: dict[str, object]) -> None:
    """One stream, so that all that the first one brings into being does not count as memory of the others."""
    client = program("jobs.bench_live_client", told)
    client.communicate(b"\n0\n", timeout=90)


def _line(pipe: IO[bytes], said: str = "") -> None:
    pipe.write(said.encode() + b"\n")
    pipe.flush()


async def _produce(
    world: World, shape: Shape, actors: list[int], people: list[int], losing: list[int]
) -> tuple[dict[int, float], dict[int, int]]:
    """When each notice was produced, and to whom. One in twenty is for somebody who loses connections."""
    chance = random.Random(1)  # noqa: S311
    produced: dict[int, float] = {}
    to: dict[int, int] = {}
    sending: list[asyncio.Task[Any]] = []
    began, total, number = time.perf_counter(), int(shape.rate * (shape.warm + shape.seconds)), 0
    while number < total:
        due = min(int((time.perf_counter() - began) * shape.rate), total)
        events = []
        for one in range(number + 1, due + 1):
            to[one] = chance.choice(losing if losing and one % 20 == 0 else people)
            events.append(_notice(one, to[one], chance.choice(actors)))
        now = time.perf_counter()
        produced |= {event.comment: now for event in events}
        if events:
            sending.append(asyncio.create_task(world.producer.produce_many(events)))
        number = due
        await asyncio.sleep(_TICK_SECONDS)
    await asyncio.gather(*sending)
    return produced, to


def _notice(number: int, recipient: int, actor: int) -> Notified:
    """Somebody follows; its number stands where a comment's would."""
    return Notified(
        event_id=snowflake(AT + 60_000 + number, 4, 0),
        at=AT,
        actor_id=actor,
        recipient_id=recipient,
        kind="follow",
        target=0,
        post=0,
        comment=number,
        source=Source("graph", 0, 0, 0),
    )


def _compared(came: dict[int, list[list[float]]], to: dict[int, int]) -> tuple[int, int]:
    """How many notices did not come, and how many came again, to those in ``came``."""
    missed = repeated = 0
    for person, got in came.items():
        counted = Counter(int(number) for number, _ in got)
        missed += sum(counted[number] == 0 for number, recipient in to.items() if recipient == person)
        repeated += sum(count - 1 for count in counted.values())
    return missed, repeated


class _Idle:
    """A consumer on a thread of its own that notes when it heard of each notice."""

    def __init__(self, settings: Settings) -> None:
        ends = {tp: end for tp, end in Topics(settings).ends().items() if tp.topic == "notifications"}
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic("idle"),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
            }
        )
        self._consumer.assign(
            [KafkaPartition(settings.topic("notifications"), tp.partition, end + 1) for tp, end in ends.items()]
        )
        self._values: list[tuple[float, bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="idle", daemon=True)
        self._thread.start()

    def stop(self) -> list[tuple[int, float]]:
        """The number of each notice, and when it was heard of."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        heard = [(at, decode(value)) for at, value in self._values]
        return [(event.comment, at) for at, event in heard if isinstance(event, Notified)]

    def _listen(self) -> None:
        while not self._stopping.is_set():
            messages = self._consumer.consume(1000, timeout=0.01)
            now = time.perf_counter()
            self._values += [(now, message.value() or b"") for message in messages if message.error() is None]
