"""Fixtures for the tests of stores."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from sinks.cassandra import Cassandra
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.view_tables import apply_ddl
from tests.sinks.feed_histories import Generation


@pytest.fixture
def cassandra_settings(cassandra_hosts: str) -> Settings:
    """Settings with a keyspace of one test's own, which does not exist yet."""
    return Settings(cassandra_hosts=cassandra_hosts, cassandra_keyspace=f"test_{uuid.uuid4().hex[:10]}")


@pytest.fixture(scope="session")
def tables_settings(cassandra_hosts: str) -> Iterator[Settings]:
    """Settings with the keyspace that ``cassandra`` hands from test to test: making every table takes seconds."""
    settings = Settings(cassandra_hosts=cassandra_hosts, cassandra_keyspace=f"test_{uuid.uuid4().hex[:10]}")

    async def make() -> None:
        async with await Cassandra.connect(settings, create_keyspace=True) as connected:
            await apply_ddl(connected)

    async def drop() -> None:
        async with await Cassandra.connect(settings) as connected:
            await connected.change_schema(f"DROP KEYSPACE {connected.keyspace}")

    asyncio.run(make())
    yield settings
    asyncio.run(drop())


@pytest.fixture
async def cassandra(tables_settings: Settings) -> AsyncIterator[Cassandra]:
    """A session on a keyspace with every table in it, all empty."""
    async with await Cassandra.connect(tables_settings) as connected:
        yield connected
        names = await connected.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (connected.keyspace,)
        )
        for name in names:
            if await connected.execute(f"SELECT * FROM {name.table_name} LIMIT 1"):  # noqa: S608
                await connected.change_schema(f"TRUNCATE {name.table_name}")


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """A client of one test's own empty database."""
    async with connect(settings.redis_url) as client:
        yield client


@pytest.fixture
def generation(redis: Redis) -> Generation:
    """Generation 1 of the home feed, empty."""
    return Generation(redis)
