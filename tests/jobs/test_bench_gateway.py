"""The benches of the gateway in small: real processes, and the keys that machines read."""

from __future__ import annotations

import pytest

from jobs import bench_feed_read, bench_live
from sinks.settings import Settings

KEYS = {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"}


@pytest.fixture(autouse=True)
def own_world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", settings.kafka_bootstrap)
    monkeypatch.setenv("CASSANDRA_HOSTS", settings.cassandra_hosts)
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    monkeypatch.setenv("PARTITIONS", "2")
    monkeypatch.setenv("BUCKETS", "2")


def test_pages_come_from_the_gateway_and_from_the_yardstick() -> None:
    shape = bench_feed_read.Shape(readers=6, authors=10, celebrities=3, pushed=4, pulled=1, posts=6, likes=20)
    figures = bench_feed_read.run(shape, bench_feed_read.Way(connections=2, seconds=0.3, samples=1))
    assert set(figures) >= KEYS
    for pages in ("figure", "yardstick", "under_writes", "writes_per_second"):
        assert figures[pages] > 0, pages  # type: ignore[operator]
    assert figures["pulled_share"] == 0.2


def test_notices_come_to_streams_and_to_those_that_are_lost() -> None:
    figures = bench_live.run(bench_live.Shape(streams=12, rate=60, seconds=1.0, losing=2, losses=5, actors=3, warm=0.5))
    assert set(figures) >= KEYS
    assert (figures["connections"], figures["ended"]) == (12, 0)
    lost = [figures[name] for name in ("missed", "repeated", "losing_missed", "losing_repeated")]
    assert lost == [0, 0, 0, 0] and figures["samples"] == 57
