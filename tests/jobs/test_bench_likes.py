"""The benches of likes in small: bytes a like, and the agent beside the loop by hand, which do the same."""

from __future__ import annotations

import pytest

from jobs import bench_counters, bench_pipeline_likes
from sinks.settings import Settings

KEYS = {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"}


def test_bytes_a_like_are_measured_with_keys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", settings.redis_url)
    figures = bench_counters.run(sizes=(100, 400), zipf=(2000, 200))
    assert set(figures) >= KEYS
    assert figures["name"] == "counters" and 8 < float(str(figures["figure"])) <= 11
    assert float(str(figures["yardstick"])) > 0 and figures["zipf_posts"] == 200


def test_likes_go_through_an_agent_and_through_the_loop_by_hand(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis_url", "kafka_bootstrap"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setattr(bench_pipeline_likes, "PEOPLE", 100)
    monkeypatch.setattr(bench_pipeline_likes, "POSTS", 50)
    figures = bench_pipeline_likes.run(samples=1, events=40_000)
    assert set(figures) >= KEYS
    assert figures["event"] == "like" and figures["events"] == 40_000
    assert float(str(figures["figure"])) > 0 and float(str(figures["yardstick"])) > 0
