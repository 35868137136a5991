"""``shutterlog bench replay``: how fast replay builds a view, beside the agents that keep it live.

A world stands in the log: people with profiles, who follow each other by a power law and post until feeds are full.
For each view, in turn: the real agent processes, as many as run for it (``jobs/services/programs.py``), apply the log
to an empty generation; then ``replay`` builds the next one beside it, loads it, and compares both. The rate of replay
counts everything until a generation is whole, the consumer's start and the load included; that of the agents begins
with the first batch they have applied.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from jobs.bench_scene import AT, Scene, middle, opened, rate_of
from jobs.replay import replay
from jobs.replay_report import Wishes
from jobs.replay_views import VIEWS, ReplayStores, drop_generation
from jobs.services.programs import AGENTS
from schemas.events import (
    AccountRegistered,
    Event,
    Followed,
    PostSubmitted,
    ProfileChanged,
    RenditionsReady,
    UploadCompleted,
)
from sinks.cassandra import Cassandra
from sinks.generations import GenerationLog, now_ms
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.view_tables import apply_ddl, make_tables
from streams.records import TopicPartition

PEOPLE, PROFILES = 2_000, 20
"""And profile changes of each person. Each follows some 35 others."""
WORLDS = {120_000: ("home_feed",), 40_000: ("accounts", "follows", "posts", "user_posts")}
"""Posts in all, and what is measured with so many. With 20 of each author feeds hold their 500 posts; with 60 most have
been evicted again, as in any log that has grown for a while: agents push each one, and replay loads the last ones."""
_AT_ONCE = 5_000


class Unequal(RuntimeError):
    """Replay and the agents made different views of one log: then no figure means anything."""


def run(samples: int = 3, people: int = PEOPLE) -> dict[str, Any]:
    """Measure ``samples`` rounds of each view. ``figure`` and ``yardstick`` are events/s of home_feed; ``views`` has
    both, and their ratio, for each view. Raises ``Unequal`` and ``AgentAway``."""
    return asyncio.run(_run(samples, people))


async def _run(samples: int, people: int) -> dict[str, Any]:
    rates: dict[str, tuple[list[float], list[float]]] = {}
    events = 0
    for posts, views in WORLDS.items():
        async with _world(people, posts) as (scene, stores):
            every = await asyncio.to_thread(stores.topics.ends)
            events += sum(end + 1 for end in every.values())
            for _ in range(samples):
                for view in views:
                    ours, theirs = rates.setdefault(view, ([], []))
                    ends = {tp: end for tp, end in every.items() if tp.topic in VIEWS[view].sources}
                    theirs.append(await _live_rate(scene, stores, view, ends))
                    ours.append(await _replay_rate(stores, view))
    found = {
        view: {
            "figure": round(middle(ours)),
            "yardstick": round(middle(theirs)),
            "ratio": round(middle(ours) / middle(theirs), 2),
            "each": [round(rate) for rate in ours],
            "yardstick_each": [round(rate) for rate in theirs],
        }
        for view, (ours, theirs) in rates.items()
    }
    return {
        "name": "replay",
        "figure": found["home_feed"]["figure"],
        "unit": "events/s of home_feed, build and load",
        "yardstick": found["home_feed"]["yardstick"],
        "yardstick_name": f"{_workers('home_feed')} agent processes of home_feed on an empty store",
        "ratio": found["home_feed"]["ratio"],
        "samples": samples,
        "views": found,
        "events": events,
        "people": people,
    }


async def _live_rate(scene: Scene, stores: ReplayStores, view: str, ends: dict[TopicPartition, int]) -> float:
    """Events/s of the agents on a generation that is live and empty."""
    log = GenerationLog(scene.settings)
    known = await asyncio.to_thread(log.of, view)
    begun = known.begun(now_ms())
    await make_tables(stores.cassandra, view, begun.highest)
    await asyncio.to_thread(log.write, begun.flipped(begun.highest, now_ms()))
    sink = stores.live_sink(VIEWS[view], begun.highest)

    async def applied() -> int:
        return sum(at + 1 for at in (await sink.fences(list(ends))).values())

    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(scene.agent(view)) for _ in range(_workers(view))]
        return await rate_of(agents, sum(end + 1 for end in ends.values()), applied)


async def _replay_rate(stores: ReplayStores, view: str) -> float:
    """Events/s of a replay, which then is the live generation; the others are dropped."""
    report = await asyncio.to_thread(replay, stores.settings, view, Wishes(), quiet=True)
    if report.differences or not report.flipped:
        raise Unequal("; ".join(report.lines(5)))
    log = GenerationLog(stores.settings)
    known = await asyncio.to_thread(log.of, view)
    for old in [one.number for one in known.all if one.state != "live"]:
        known = known.dropped(old)
        await asyncio.to_thread(log.write, known)
        await drop_generation(stores, VIEWS[view], old)
    return report.events / (report.seconds["build"] + report.seconds.get("load", 0.0))


def _workers(view: str) -> int:
    return sum(view in groups for groups in AGENTS.values())


@asynccontextmanager
async def _world(people: int, posts: int) -> AsyncIterator[tuple[Scene, ReplayStores]]:
    """Topics, a Redis database and a keyspace of their own, with the log written."""
    async with opened(Settings(), people) as scene:
        name = scene.settings.topic_prefix.strip(".").replace("-", "_")
        scene.settings = scene.settings.model_copy(update={"cassandra_keyspace": name})
        async with await Cassandra.connect(scene.settings, create_keyspace=True) as cassandra:
            try:
                await apply_ddl(cassandra)
                await _write(scene, posts)
                async with ReplayStores(scene.settings) as stores:
                    yield scene, stores
            finally:
                await cassandra.change_schema(f"DROP KEYSPACE {name}")


async def _write(scene: Scene, posts: int) -> None:
    events: list[Event] = []
    for user in scene.people:
        who: dict[str, Any] = {"event_id": user, "at": AT, "actor_id": user, "user_id": user}
        events.append(AccountRegistered(**who, username=b"u" * 40, name=b"n" * 40))
        for _ in range(PROFILES):
            events.append(ProfileChanged(**who, name=b"n" * 40, bio=b"b" * 120))
    for author, followers in scene.followers.items():
        for follower in followers:
            events.append(Followed(event_id=author, at=AT, actor_id=follower, follower_id=follower, followee_id=author))
    for number in range(posts):
        published = scene.publication(number)
        post, author, picture = published.post_id, published.author_id, published.media[0]
        said: dict[str, Any] = {"event_id": post, "at": AT, "actor_id": author}
        original: dict[str, Any] = {"original_key": f"o/{post}", "content_type": "image/jpeg", "size": 1}
        events += [
            UploadCompleted(**said, media_id=post, owner_id=author, sha256="0" * 64, **original),
            PostSubmitted(**said, post_id=post, author_id=author, media_ids=[post], caption=b"c" * 200),
            RenditionsReady(**said, media_id=post, owner_id=author, media=picture, source=published.source),
            published,
        ]
    async with Producer(scene.settings, timeout_seconds=60, linger_ms=20) as producer:
        for start in range(0, len(events), _AT_ONCE):
            await producer.produce_many(events[start : start + _AT_ONCE])
