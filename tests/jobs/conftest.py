"""What tests of jobs stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jobs.provision import provision
from sinks.cassandra import Cassandra
from sinks.producer import Producer
from sinks.redis import connect
from sinks.settings import Settings
from tests.agents.workers import Workers, worker_processes
from tests.jobs.replay_world import SMALL, ReplayWorld
from tests.jobs.test_verify import apply_all, history


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[ReplayWorld]:
    """A small world, its views as live agents would have left them in generation 1."""
    small = settings.model_copy(update=SMALL)
    await asyncio.to_thread(provision, small)
    async with Producer(small) as producer:
        await producer.produce_many(history())
    client = connect(small.redis_url)
    async with await Cassandra.connect(small) as cassandra:
        await apply_all(small, cassandra, client)
        yield ReplayWorld(small, cassandra, client)
        await cassandra.change_schema(f"DROP KEYSPACE {small.cassandra_keyspace}")
    await client.aclose()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Starts worker processes, and ends them."""
    with worker_processes(tmp_path) as started:
        yield started
