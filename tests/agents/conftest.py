"""What tests of real workers stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sinks.producer import Producer
from sinks.redis import connect
from sinks.settings import Settings
from sinks.topics import Topics
from tests.agents.feed_world import FeedWorld
from tests.agents.workers import Workers, worker_processes

SMALL = {
    "partitions": 4,
    "buckets": 4,
    "feed_cap": 20,
    "feed_slack": 4,
    "pull_threshold": 15,
    "batch_events": 20,
    "idle_call_seconds": 0.3,
    "session_timeout_ms": 2000,
}
"""Small enough that feeds are trimmed and authors pulled, and that a few thousand events are many batches."""


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Starts worker processes, and ends them."""
    with worker_processes(tmp_path) as started:
        yield started


@pytest.fixture
async def open_world() -> AsyncIterator[Callable[[Settings], Awaitable[FeedWorld]]]:
    """Makes the topics of a world, and opens it."""
    async with AsyncExitStack() as stack:

        async def opened(settings: Settings) -> FeedWorld:
            Topics(settings).provision()
            producer = await stack.enter_async_context(Producer(settings))
            redis = connect(settings.redis_url)
            stack.push_async_callback(redis.aclose)
            return FeedWorld(settings, producer, redis)

        yield opened


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Settings of a world whose limits tests reach."""
    return settings.model_copy(update=SMALL)


@pytest.fixture
async def world(small: Settings, open_world: Callable[[Settings], Awaitable[FeedWorld]]) -> FeedWorld:
    """A world on the session's services."""
    return await open_world(small)
