"""``shutterlog bench freshness``: from PostPublished produced to visible in feeds, at half of the agent's top rate.

The top rate is measured first, over a prefilled topic, once feeds are full, as those of any grown world are: each push
into a full feed costs more than one into a young one, and the samples are taken of the same feeds. Then posts are
produced at half of it, and of some of them one follower's feed is read, over and over, as the API reads it, until the
post is there. The yardstick is a consumer that does nothing with the same posts: how long Kafka alone takes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from jobs.bench_scene import AgentAway, Scene, opened, rate_of
from schemas.codec import decode
from schemas.events import PostPublished
from sinks.home_feed_reader import HomeFeedReader
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.topics import Topics

FILLING_EVENTS, TOP_EVENTS = 65_000, 20_000
"""So many that everybody's feed, in the mean, has come to its cap; and those of the top rate after them."""
_TICK_SECONDS = 0.02
_LOOKED_FOR_EACH_TICK = 1
_WARM_UP = 200
_WARM_UP_SECONDS = 30.0
"""A broker that has just started compiles its code for half a minute under this load: 86 % of a core at first, 35 %
then, and a p99 of 2.9, 0.9 and 0.6 s in the first three samples of 8 s."""
_POLL_SECONDS = 0.01
_POLL_SHARE = 0.1
"""A post is looked for again after a tenth of its age: a feed costs Redis as much as a push to some hundred people, and
to look for all that is late every 10 ms made it later."""
_GIVE_UP_SECONDS = 30.0


def run(samples: int = 3, seconds: float = 8.0) -> dict[str, object]:
    """Produce for ``seconds``, ``samples`` times. Figures are milliseconds; ``figure`` is the p99 of all samples."""
    return asyncio.run(_run(samples, seconds))


async def _run(samples: int, seconds: float) -> dict[str, Any]:
    async with opened(Settings()) as scene:
        await scene.follow()
        await scene.publish(FILLING_EVENTS + TOP_EVENTS)
        async with scene.agent() as agent:
            top = await rate_of([agent], FILLING_EVENTS + TOP_EVENTS, scene.applied, after=FILLING_EVENTS)
        feeds: list[float] = []
        trips: list[float] = []
        each: list[float] = []
        start = FILLING_EVENTS + TOP_EVENTS
        async with scene.agent() as agent:
            # Not measured: the worker comes up and asks its sinks for their fences, at a low rate; then broker and
            # stores that have just started come to their speed.
            for count, rate in ((_WARM_UP, float(_WARM_UP)), (int(top / 2 * _WARM_UP_SECONDS), top / 2)):
                await _sample(scene, start, count, rate)
                start += count
            for _ in range(samples):
                count = int(top / 2 * seconds)
                seen, took = await _sample(scene, start, count, top / 2)
                agent.check(True)
                start += count
                feeds += seen
                trips += took
                each.append(round(_percentile(seen, 99), 1))
    figure, yardstick = _percentile(feeds, 99), _percentile(trips, 99)
    return {
        "name": "freshness",
        "figure": round(figure, 1),
        "unit": "ms from PostPublished to visible in feeds, p99 at half the top rate",
        "yardstick": round(yardstick, 1),
        "yardstick_name": "the same posts at a consumer that does nothing, p99",
        "ratio": round(yardstick / figure, 2),
        "samples": samples,
        "p50": round(_percentile(feeds, 50), 1),
        "p99": round(figure, 1),
        "each_p99": each,
        "yardstick_p50": round(_percentile(trips, 50), 1),
        "looked_for": len(feeds),
        "events_per_second": round(top / 2),
        "top_events_per_second": round(top),
    }


async def _sample(scene: Scene, start: int, count: int, rate: float) -> tuple[list[float], list[float]]:
    """Produce posts ``start`` to ``start + count`` at ``rate``; ms to the feeds, and to the idle consumer."""
    produced: dict[int, float] = {}
    pending: dict[int, tuple[int, float]] = {}
    seen: list[float] = []
    done = asyncio.Event()
    listener = _Listener(scene.settings)
    looking = asyncio.create_task(_look(scene, pending, seen, done))
    # Made before the clock runs: two cores are the agent's, the stores' and ours.
    publications = [scene.publication(n) for n in range(start, start + count)]
    try:
        async with Producer(scene.settings, timeout_seconds=30) as producer:
            sending: list[asyncio.Task[Any]] = []
            began, number = time.perf_counter(), start
            while number < start + count:
                due = start + min(int((time.perf_counter() - began) * rate), count)
                posts = publications[number - start : due - start]
                now = time.perf_counter()
                for n, post in enumerate(posts):
                    produced[post.post_id] = now
                    if n < _LOOKED_FOR_EACH_TICK and (followers := scene.followers[post.author_id]):
                        pending[post.post_id] = (followers[number % len(followers)], now)
                if posts:
                    sending.append(asyncio.create_task(producer.produce_many(posts)))
                number = due
                await asyncio.sleep(_TICK_SECONDS)
            await asyncio.gather(*sending)
        done.set()
        await looking
    finally:
        looking.cancel()
        heard = await asyncio.to_thread(listener.stop, len(produced))
    return seen, [(heard[post] - at) * 1000 for post, at in produced.items()]


async def _look(scene: Scene, pending: dict[int, tuple[int, float]], seen: list[float], done: asyncio.Event) -> None:
    reader = HomeFeedReader(scene.redis, generation=1, buckets=scene.settings.buckets)
    last = time.perf_counter()
    due: dict[int, float] = {}
    while pending or not done.is_set():
        now = time.perf_counter()
        asked = {post: looked_for for post, looked_for in pending.items() if due.get(post, 0.0) <= now}
        skeletons = await reader.skeletons({follower for follower, _ in asked.values()})
        now = time.perf_counter()
        for post, (follower, produced) in asked.items():
            due[post] = now + _POLL_SHARE * (now - produced)
            # On a busy machine a catching-up agent can push so much at once that newer posts have evicted this one
            # before anybody looked: it counts as seen now, which is later than it was.
            if post in skeletons[follower].ids or post <= skeletons[follower].floor:
                del pending[post]
                seen.append((now - produced) * 1000)
                last = now
        if asked and now - last > _GIVE_UP_SECONDS:
            raise AgentAway(f"{len(pending)} posts are in no feed after {_GIVE_UP_SECONDS:.0f} s")
        await asyncio.sleep(_POLL_SECONDS)


class _Listener:
    """A consumer on a thread of its own that notes when it heard of each post."""

    def __init__(self, settings: Settings) -> None:
        ends = {tp: end for tp, end in Topics(settings).ends().items() if tp.topic == "posts"}
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": settings.topic("freshness"),
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
            }
        )
        self._consumer.assign(
            [KafkaPartition(settings.topic("posts"), tp.partition, end + 1) for tp, end in ends.items()]
        )
        self._values: list[tuple[float, bytes]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()

    def stop(self, expected: int) -> dict[int, float]:
        """When each post came, once all ``expected`` have (or within ten seconds)."""
        deadline = time.monotonic() + 10
        while len(self._values) < expected and time.monotonic() < deadline:
            time.sleep(0.01)
        self._stopping.set()
        self._thread.join()
        self._consumer.close()
        heard: dict[int, float] = {}
        for at, value in self._values:  # decoded only now, so that listening costs the agent no time
            event = decode(value)
            if isinstance(event, PostPublished):
                heard[event.post_id] = at
        return heard

    def _listen(self) -> None:
        while not self._stopping.is_set():
            messages = self._consumer.consume(1000, timeout=0.01)
            now = time.perf_counter()
            self._values += [(now, message.value() or b"") for message in messages if message.error() is None]


def _percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))
