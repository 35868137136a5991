"""``shutterlog bench pipeline [--event story]``: PostPublished, or StoryPublished, through the real agent process,
beside loops written by hand.

The agent is ``python -m agents home_feed``, or ``story_tray``, as it runs in production: a process of its own, two
passes, fences. It is measured over a prefilled topic, from the first move of its fences to the last. The yardstick is
what one would write by hand for the same writes, without any guarantee: confluent-kafka, fastavro, and one Lua call a
bucket and batch that pushes into followers' feeds and trims them. The same with commands from Python instead of Lua
stands beside it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jobs.bench_by_hand import ByCommands, ByLua, drain
from jobs.bench_scene import PEOPLE, Scene, compared, opened, rate_of
from sinks.home_feed_buckets import HOME_FEEDS, TRAYS
from sinks.settings import Settings

EVENTS = 40_000
_NAIVE_EVENTS = 8_000


def run(samples: int = 3, events: int = EVENTS, event: str = "post") -> dict[str, object]:
    """Measure ``samples`` rounds, the agent and the yardstick in turn. ``figure`` and ``yardstick`` are events/s."""
    return asyncio.run(_run(samples, events, event))


async def _run(samples: int, events: int, event: str) -> dict[str, Any]:
    feeds = TRAYS if event == "story" else HOME_FEEDS
    ours: list[float] = []
    theirs: list[float] = []
    async with opened(Settings(), PEOPLE, feeds) as scene:
        await scene.follow()
        await scene.publish(events)
        for _ in range(samples):
            await scene.forget_posts()
            ours.append(await agent_rate(scene, events, "story_tray" if feeds is TRAYS else "home_feed"))
            await scene.forget_posts()
            theirs.append(await asyncio.to_thread(drain, scene.settings, ByLua, events, feeds))
        await scene.forget_posts()
        followers = scene.mean_followers
        naive = await asyncio.to_thread(drain, scene.settings, ByCommands, min(_NAIVE_EVENTS, events), feeds)
    unit = "StoryPublished" if feeds is TRAYS else "PostPublished"
    report = compared(event, unit, "Lua per bucket and batch", ours, theirs)
    return report | {
        "naive": round(naive),
        "naive_name": "the same loop with LPUSH and LTRIM per follower, pipelined from Python",
        "deliveries_per_second": round(report["figure"] * followers),
        "mean_followers": round(followers, 1),
        "people": PEOPLE,
        "events": events,
    }


async def agent_rate(scene: Scene, events: int, group: str = "home_feed") -> float:
    """Events/s of the agent of the feeds, or of the trays, over the prefilled topic."""
    async with scene.agent(group) as agent:
        return await rate_of([agent], events, scene.applied)
