"""``shutterlog bench ranking``: how long ranking takes, and how good it is where it is known what people like.

A made-up world (``jobs.ranking_world``) is lived through; a model learns from all but its newest days, as
``shutterlog train ranking`` does; affinity and trends are written into an empty Redis by their own sinks. Then feeds of
``CANDIDATES`` posts are ranked as gateways rank them: affinity and trends read from Redis, features, the model, the
order, the spacing, all on one core. What is not in the figure: the rows of posts, which gateways keep, and the page.

``figure`` is the p99 in ms; ``processor_p99_ms`` is that of this process's own processor time, which does not grow
with whatever else the machine has to do; the yardstick, interleaved with it, are the same reads alone. NDCG@25 is of
the true worth of each post for the viewer, at the world's end: in the model's order before spacing, spaced as feeds
show it, in latest order, and by popularity.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jobs.bench_scene import free_database
from jobs.ranking_evaluation import AT, ndcg
from jobs.ranking_past import shown
from jobs.ranking_world import Plan, RankingWorld
from jobs.train_ranking import learn
from sinks.affinity import AffinityReader, AffinitySink
from sinks.ranking_models import RankingModel, load, publish
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.sink import Sink
from sinks.trending import TrendSink
from sinks.trending_reader import TrendReader
from streams.affinity import AFFINITY
from streams.ranking import FEATURES, Candidate, features, ranked, values
from streams.records import Record, Span, TopicPartition
from streams.trending import STEP_MS, TRENDING
from streams.views import View

CANDIDATES = 500
WORLD = Plan(viewers=120, authors=120, follows=60, days=10, a_day=1.0, page=25)
TIMES = 400
LEAST_PEOPLE = 3
_BATCH = 4000
_MILLI = 1_000_000


def run(plan: Plan = WORLD, times: int = TIMES) -> dict[str, object]:
    """Raises ``StoreAway``."""
    world = RankingWorld(plan)
    learnt = learn(list(shown(world.events, 0, LEAST_PEOPLE)))
    with tempfile.TemporaryDirectory() as folder:
        learnt_from, evaluation = learnt.trained_on, learnt.evaluation
        made = publish(
            Path(folder), learnt.network.onnx(), made_at=world.now, trained_on=learnt_from, evaluation=evaluation
        )
        model = load(Path(folder), made.version)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        measured = asyncio.run(_run(world, model, times))
    finally:
        os.sched_setaffinity(0, cores)
    return {**measured, "impressions_learnt_from": learnt.trained_on["impressions"], "held_back": learnt.evaluation}


async def _run(world: RankingWorld, model: RankingModel, times: int) -> dict[str, Any]:
    settings = Settings()
    client = connect(await free_database(settings.redis_url), seconds=60)
    count = settings.buckets
    ids = {topic: "bench" for view in (AFFINITY, TRENDING) for topic in view.sources}
    try:
        await _fill(AFFINITY, AffinitySink(client, ids, generation=1, buckets=count), world)
        await _fill(TRENDING, TrendSink(client, ids, generation=1, buckets=count, least_people=LEAST_PEOPLE), world)
        return await _Ranking(client, count, world, model).measured(times)
    finally:
        await client.flushdb()
        await client.aclose()


async def _fill(view: View[Any], sink: Sink[Any], world: RankingWorld) -> None:
    own = [event for event in world.events if event.TOPIC in view.sources]
    reached: dict[TopicPartition, int] = {}
    for start in range(0, len(own), _BATCH):
        batch, before = [], dict(reached)
        for event in own[start : start + _BATCH]:
            tp = TopicPartition(event.TOPIC, 0)
            reached[tp] = reached.get(tp, -1) + 1
            batch.append(Record(tp, reached[tp], event.at, event))
        await sink.apply(view.project(batch), {tp: Span(before.get(tp, -1), last) for tp, last in reached.items()})


class _Ranking:
    def __init__(self, client: Redis, buckets: int, world: RankingWorld, model: RankingModel) -> None:
        self._affinity = AffinityReader(client, generation=1, buckets=buckets)
        self._trends = TrendReader(client, generation=1, buckets=buckets)
        self._world, self._model = world, model

    async def measured(self, times: int) -> dict[str, Any]:
        world = self._world
        feeds = [world.candidates(viewer, world.now, CANDIDATES) for viewer in range(world.plan.viewers)]
        good = await self._good(feeds)
        whole, reads, spent = [], [], []
        gc.collect()
        for n in range(times):
            viewer = n % len(feeds)
            begun = time.perf_counter_ns()
            await self._reads(viewer, feeds[viewer])
            reads.append(time.perf_counter_ns() - begun)
            begun, used = time.perf_counter_ns(), time.process_time_ns()
            await self._ranked(viewer, feeds[viewer])
            whole.append(time.perf_counter_ns() - begun)
            spent.append(time.process_time_ns() - used)
        p99, plain, processor = (float(np.percentile(one, 99)) / _MILLI for one in (whole, reads, spent))
        return {
            "name": "ranking",
            "figure": round(p99, 2),
            "unit": f"ms, p99 of ranking {CANDIDATES} candidates with features, one core",
            "yardstick": round(plain, 2),
            "yardstick_name": "reading affinity and trends of the same candidates, and nothing else, p99",
            "ratio": round(plain / p99, 3),
            "samples": times,
            "p50_ms": round(float(np.percentile(whole, 50)) / _MILLI, 2),
            "processor_p50_ms": round(float(np.percentile(spent, 50)) / _MILLI, 2),
            "processor_p99_ms": round(processor, 2),
            "candidates": round(float(np.mean([len(feed) for feed in feeds]))),
            f"ndcg_at_{AT}": good,
        }

    async def _good(self, feeds: Sequence[Sequence[Candidate]]) -> dict[str, float]:
        """The mean over viewers of each order."""
        found: dict[str, list[float]] = {}
        world = self._world
        for viewer, posts in enumerate(feeds):
            gains = [world.worth(viewer, post, world.now) for post in posts]
            rows = await self._rows(viewer, posts)
            worth = values(self._model.probabilities(rows))
            place = {post: -n for n, post in enumerate(ranked(posts, worth))}
            orders: dict[str, Any] = {
                "ranked": [place[post] for post in posts],
                "ranked_unspaced": worth,
                "chronological": [post.post_id for post in posts],
                "popularity": rows[:, FEATURES.index("velocity_24h")],
            }
            for name, scores in orders.items():
                found.setdefault(name, []).append(ndcg(gains, np.asarray(scores, dtype=np.float64)) or 0.0)
        return {name: round(float(np.mean(each)), 4) for name, each in found.items()}

    async def _ranked(self, viewer: int, posts: Sequence[Candidate]) -> list[Candidate]:
        return ranked(posts, values(self._model.probabilities(await self._rows(viewer, posts))))

    async def _rows(self, viewer: int, posts: Sequence[Candidate]) -> Any:
        pairs, velocities = await self._reads(viewer, posts)
        return features(posts, pairs, velocities, self._world.now)

    async def _reads(self, viewer: int, posts: Sequence[Candidate]) -> tuple[Any, Any]:
        authors = sorted({post.author_id for post in posts})
        pairs, velocities = await asyncio.gather(
            self._affinity.of(self._world.viewers[viewer], authors),
            self._trends.velocities([post.post_id for post in posts], self._world.now // STEP_MS),
        )
        return pairs, velocities
