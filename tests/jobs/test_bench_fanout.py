"""The fan-out bench in small: its keys, feeds that are really full, and a clear word where the yardstick is missing."""

from __future__ import annotations

import shutil

import pytest

from jobs import bench_fanout
from sinks.settings import Settings


@pytest.mark.skipif(not shutil.which("redis-benchmark"), reason="redis-benchmark is not installed")
def test_the_bench_fills_feeds_and_measures(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    figures = bench_fanout.run(samples=1, people=400, authors=20, batches=1, requests=5000)
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"} <= set(figures)
    assert figures["name"] == "fanout" and figures["figure"] > figures["one_at_a_time"] > 0
    assert figures["yardstick"] > 0
    assert 9 < figures["bytes_per_entry"] <= 12


def test_a_missing_yardstick_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(bench_fanout.NoYardstick, match="redis-tools"):
        bench_fanout.zadds("redis://127.0.0.1:6379/0", 1)
