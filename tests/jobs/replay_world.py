"""A small world whose views are right, and what replays of it need."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis.asyncio

from jobs.replay import replay, rollback
from jobs.replay_report import ReplayReport, Wishes
from schemas.events import Event, Followed, PostPublished, Unfollowed
from schemas.ids import snowflake
from sinks.cassandra import Cassandra
from sinks.generations import GenerationLog, Generations
from sinks.home_feed_reader import HomeFeedReader
from sinks.settings import Settings
from tests.agents.workers import ROOT, environment, until
from tests.jobs.test_verify import AT, PEOPLE
from tests.jobs.test_verify_fold import SOURCE, rendered

SMALL = {
    "partitions": 2,
    "buckets": 3,
    "feed_cap": 8,
    "feed_slack": 2,
    "pull_threshold": 15,
    "idle_call_seconds": 0.3,
    "session_timeout_ms": 2000,
}


class ReplayWorld:
    """Its log, its stores, and replay on it."""

    def __init__(self, settings: Settings, cassandra: Cassandra, client: redis.asyncio.Redis) -> None:
        self.settings, self.cassandra, self.redis = settings, cassandra, client

    async def replay(self, view: str, **wishes: Any) -> ReplayReport:
        return await asyncio.to_thread(replay, self.settings, view, Wishes(**wishes), quiet=True)

    async def rollback(self, view: str) -> ReplayReport:
        return await asyncio.to_thread(rollback, self.settings, view, quiet=True)

    async def generations(self, view: str) -> Generations:
        return await asyncio.to_thread(GenerationLog(self.settings).of, view)

    def feeds(self, generation: int) -> HomeFeedReader:
        return HomeFeedReader(self.redis, generation=generation, buckets=self.settings.buckets)


def more(count: int, seed: int) -> list[Event]:
    """``count`` events of a busy life: posts, follows and unfollows."""
    chance = random.Random(seed)
    events: list[Event] = []
    for n in range(count):
        a, b = chance.sample(PEOPLE, 2)
        base: dict[str, Any] = {"event_id": snowflake(AT, 6, n % 4096), "at": AT + n, "actor_id": a}
        if chance.random() < 0.6:
            post = snowflake(AT + 10_000 + 100_000 * seed + n, 7, 0)
            picture = rendered(snowflake(AT, 5, 0))
            events.append(PostPublished(**base, post_id=post, author_id=a, media=[picture], source=SOURCE))
        else:
            kind = chance.choice([Followed, Unfollowed])
            events.append(kind(**base, follower_id=a, followee_id=b))
    return events


class ReplayProcess:
    """``shutterlog replay VIEW`` in a process of its own."""

    def __init__(self, settings: Settings, folder: Path, *arguments: str) -> None:
        self._said = folder / f"replay-{random.getrandbits(48):012x}"
        command = [sys.executable, "-m", "jobs.cli", "replay", *arguments, "--json"]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                command, env=environment(settings), cwd=ROOT, stdout=said, stderr=subprocess.STDOUT
            )

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    async def says(self, words: str, seconds: float = 60) -> None:
        """Wait until it says ``words``; fails where it ends before."""

        async def heard() -> bool:
            if words in self.said:
                return True
            assert self.process.poll() is None, self.said
            return False

        await until(f"replay says {words!r}: {self.said}", heard, seconds)

    async def kill(self) -> None:
        """``kill -9``, if it still runs."""
        if self.process.poll() is None:
            os.kill(self.process.pid, 9)
        await asyncio.to_thread(self.process.wait, 20)

    async def ends(self, seconds: float = 90) -> int:
        """Its exit code."""
        return await asyncio.to_thread(self.process.wait, seconds)
