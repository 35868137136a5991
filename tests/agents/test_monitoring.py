"""A real Prometheus with the rules that are shipped, which watches a worker, and one that stands still."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families_of

from agents.metrics import REGISTRY, TURNS
from sinks.settings import Settings
from tests.agents.feed_world import FeedWorld
from tests.agents.workers import Workers, until
from tests.prometheus import alerts_of, running

SLO = {"slo": "freshness", "view": "home_feed"}


async def test_a_worker_says_how_fresh_its_view_is_and_one_that_stands_still_pages(
    small: Settings, world: FeedWorld, workers: Workers, tmp_path: Path
) -> None:
    worker = workers.start(small, "home_feed")
    ada, bob = world.people[:2]
    await world.say([world.followed(bob, ada), world.published(ada, 1)])
    await world.settles()
    port = int((await worker.says(r"metrics on port (\d+)"))[1])

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:  # noqa: S310 - our own
        said = {family.name: family for family in families_of(answer.read().decode())}
    # What it serves is what the rules and panels are held against.
    found = {name for name in said if not name.endswith("_created")}
    assert found == {metric.name for metric in REGISTRY.collect()}
    turns = said["shutterlog_delivery_events"].samples
    assert {one.labels["what"]: one.value for one in turns if one.name.endswith("_total")} == dict.fromkeys(TURNS, 0)
    samples = {one.name: one for one in said["shutterlog_freshness_seconds"].samples}
    assert samples["shutterlog_freshness_seconds_count"].value >= 1
    assert 0 < samples["shutterlog_freshness_seconds_sum"].value < 300

    watching = running(tmp_path, workers=port)
    prometheus = await asyncio.to_thread(watching.__enter__)
    try:

        async def stale(wanted: float) -> bool:
            found = await asyncio.to_thread(prometheus.values, "view:stale:bool")
            return found == [({"__name__": "view:stale:bool", "view": "home_feed"}, wanted)]

        async def pages() -> bool:
            return bool(alerts_of(await asyncio.to_thread(prometheus.firing), severity="page", window="1h", **SLO))

        await until("home_feed is known to be fresh", lambda: stale(0))
        worker.send(signal.SIGSTOP)
        try:
            await until("home_feed is known to be stale", lambda: stale(1))
            await until("somebody is paged", pages)
        finally:
            worker.send(signal.SIGCONT)
        await until("home_feed is fresh again", lambda: stale(0))
    finally:
        await asyncio.to_thread(watching.__exit__, None, None, None)
