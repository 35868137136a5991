"""A simulated world whose agents are killed at random: afterwards every view is what the log says."""

from __future__ import annotations

import asyncio
import random
import uuid
from functools import partial
from pathlib import Path

from jobs.chaos import Wishes as Chaos
from jobs.chaos import chaos
from jobs.provision import provision
from jobs.simulate import Wishes, simulate
from jobs.verify import verify
from jobs.world import Plan
from sinks.generations import now_ms
from sinks.settings import Settings
from sinks.topics import Topics
from tests.agents.workers import until, worker_processes
from tests.e2e.conftest import SLOW, forget, settings_of_a_world
from tests.services import empty_redis

SLOTS = {
    "a": ("accounts", "follows", "posts", "user_posts", "notifications", "home_feed", "stories", "story_tray"),
    "b": (
        *("home_feed", "likes", "comments", "saves", "counters", "trending", "affinity"),
        *("media", "publisher", "notices", "saga", "erasure", "tagged_posts", "seen_posts", "search"),
    ),
    "c": (
        *("posts", "user_posts", "home_feed", "counters", "publisher", "notices", "saga", "erasure", "facts"),
        *("story_views", "story_tray", "trending", "affinity", "tagged_posts", "seen_posts", "search"),
    ),
    "d": ("facts",),
}
KILLS = 6
RATE = 80.0
"""Events a second, so that kills fall among them."""
EVERY = 12
"""Records in `posts` between two kills: few enough that what the world itself writes there has them all."""


async def _has_posts(settings: Settings, records: int) -> bool:
    ends = await asyncio.to_thread(Topics(settings).ends)
    return sum(end + 1 for tp, end in ends.items() if tp.topic == "posts") >= records


async def test_no_kill_leaves_a_trace(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, clickhouse_url: str, tmp_path: Path
) -> None:
    chance = random.Random(1)
    with empty_redis(redis_url) as own_redis_url, worker_processes(tmp_path) as workers:
        limits = {"pull_threshold": 8, "feed_cap": 10, "feed_slack": 3, "facts_batch_seconds": 0.5}
        settings = settings_of_a_world(
            kafka_bootstrap, own_redis_url, cassandra_hosts, tmp_path, clickhouse_url=clickhouse_url, **limits
        )
        await asyncio.to_thread(provision, settings)
        running = {slot: workers.start(settings, *groups, slot=slot) for slot, groups in SLOTS.items()}
        for worker in running.values():
            await worker.says("metrics on port", seconds=SLOW)
        # A world of the last days: of long ago, nobody would be shown any more who saw a story.
        plan = Plan(seed=1, events=1200, posts=60, whole_way=60, until=now_ms())
        wishes = Wishes(plan, people=60, templates=3, rate=RATE)
        living = asyncio.create_task(asyncio.to_thread(simulate, settings, wishes, quiet=True))
        for kill in range(KILLS):
            await until(f"kill {kill} has its turn", partial(_has_posts, settings, kill * EVERY), SLOW)
            assert not living.done(), "kills have to fall among the events"
            slot = chance.choice(sorted(running))
            # One that has just begun is killed as well: that is when it reads its fences.
            await running[slot].kill()
            running[slot] = workers.start(settings, *SLOTS[slot], slot=slot)
        counts = await living
        assert counts["events"] == 1200
        report = await asyncio.to_thread(verify, settings, patience=SLOW, quiet=True)
        assert report.differences == 0, "\n".join(report.lines(20))
        assert report.undecodable == 0
        views = {"accounts", "follows", "posts", "user_posts", "notifications", "home_feed"}
        views |= {"likes", "comments", "saves", "counters", "facts", "stories", "story_views", "story_tray"}
        views |= {"trending", "affinity", "tagged_posts", "seen_posts", "search"}
        assert set(report.views) >= views
        # Hardly anybody erases themselves: in so small a world of this hour, nobody may have.
        checked = {name: found.checked for name, found in report.views.items() if name != "erasure"}
        assert all(checked.values()), checked
        assert all(worker.process.poll() is None for worker in running.values()), "only kills may end a worker"
        assert report.views["facts"].checked == report.views["facts"].notes["rows"] == report.events
        await forget(settings)


FAULTS = ("kill api", "cut cassandra", "poison log")

CHAOS_SLOTS = {"a-0": SLOTS["a"], "b-0": SLOTS["b"], "c-0": (*SLOTS["c"], "push")}


def variables(kafka: str, redis: str, cassandra: str, clickhouse: str) -> dict[str, str]:
    """What gives chaos a world of its own in these stores."""
    name = uuid.uuid4().hex[:10]
    return {
        "KAFKA_BOOTSTRAP": kafka,
        "REDIS_URL": redis,
        "CASSANDRA_HOSTS": cassandra,
        "CLICKHOUSE_URL": clickhouse,
        "CASSANDRA_KEYSPACE": f"test_{name}",
        "CLICKHOUSE_DATABASE": f"test_{name}",
        "TOPIC_PREFIX": f"test-{name}.",
        "PARTITIONS": "2",
        "BUCKETS": "2",
        "SESSION_TIMEOUT_MS": "2000",
    }


def drop(given: dict[str, str]) -> None:
    """Drop that world's keyspace."""
    names = {"cassandra_hosts": given["CASSANDRA_HOSTS"], "cassandra_keyspace": given["CASSANDRA_KEYSPACE"]}
    asyncio.run(forget(Settings(**names)))  # type: ignore[arg-type]


def test_a_short_chaos_loses_nothing(
    kafka_bootstrap: str, redis_url: str, cassandra_hosts: str, clickhouse_url: str, tmp_path: Path
) -> None:
    """Its own agents and gateway, over links that break, to the session's stores: three faults under load."""
    with empty_redis(redis_url) as own_redis_url:
        given = variables(kafka_bootstrap, own_redis_url, cassandra_hosts, clickhouse_url)
        wishes = Chaos(0.6, 1, tmp_path / "chaos", FAULTS, people=3, slots=CHAOS_SLOTS, given=given)
        report, shown = chaos(wishes, print)
        assert report.problems() == [], "\n".join(report.text())
        assert {one.fault.name for one in report.faults if one.fired} == set(FAULTS)
        assert report.acknowledged > 30 and len(report.by_event) > 5
        assert report.undecodable == report.poisoned == 5
        assert report.differences == 0 and len(report.views) > 15
        assert shown.count("<rect") == 6
        assert not (tmp_path / "chaos").exists(), "it cleans up after itself"
    drop(given)
