"""The bench of stories in small: the agent of the trays beside the loop by hand, which fill the same trays."""

from __future__ import annotations

import pytest

from jobs import bench_pipeline
from jobs.bench_scene import Scene
from sinks.settings import Settings

KEYS = {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"}


def test_stories_go_into_trays_through_an_agent_and_through_the_loop_by_hand(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis_url", "kafka_bootstrap"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setattr(bench_pipeline, "PEOPLE", 120)
    trays: list[dict[bytes, int]] = []
    forget = Scene.forget_posts

    async def look_and_forget(scene: Scene) -> None:
        keys = [key async for key in scene.redis.scan_iter(match="tr1:*:h:*", count=5000)]
        trays.append({key: int(await scene.redis.llen(key)) for key in keys})
        await forget(scene)

    monkeypatch.setattr(Scene, "forget_posts", look_and_forget)
    figures = bench_pipeline.run(samples=1, events=6000, event="story")
    assert set(figures) >= KEYS
    assert (figures["event"], figures["unit"]) == ("story", "StoryPublished events/s")
    assert float(str(figures["figure"])) > 0 and float(str(figures["yardstick"])) > 0
    before, ours, theirs = trays
    assert not before
    assert ours.keys() == theirs.keys() and len(ours) > 100
    # The loop evicts by arrival and the agent by age, so that what stands in its trays depends on which partitions of
    # a log that is already there come first: more than half, and never more than the loop's slack.
    both = sum(ours.values()), sum(theirs.values())
    assert max(both) < 2 * min(both), [(ours[key], theirs[key]) for key in list(ours)[:20]]
    assert max(ours.values()) >= settings.tray_cap
