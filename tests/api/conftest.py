"""One gateway for all tests of this room: tests make their own people, and share the rest."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from jobs.provision import provision
from sinks.settings import Settings
from sinks.web_push import new_vapid_key
from tests.api.gateway import Gateway, open_gateway
from tests.services import empty_redis


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(
    kafka_bootstrap: str,
    redis_url: str,
    cassandra_hosts: str,
    clickhouse_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Gateway]:
    """A gateway with small limits, so that tests reach them."""
    name = uuid.uuid4().hex[:10]
    with empty_redis(redis_url) as own_redis_url:
        settings = Settings(
            shutterlog_home=tmp_path_factory.mktemp("home"),
            kafka_bootstrap=kafka_bootstrap,
            redis_url=own_redis_url,
            cassandra_hosts=cassandra_hosts,
            cassandra_keyspace=f"test_{name}",
            clickhouse_url=clickhouse_url,
            clickhouse_database=f"test_{name}",
            topic_prefix=f"test-{name}.",
            jwt_secret="only for tests, and long enough for HS256",
            vapid_private_key=new_vapid_key(),
            push_private_addresses=True,
            public_url="https://pictures.example",
            partitions=2,
            buckets=2,
            feed_cap=4,
            feed_slack=2,
            trending_cache_seconds=0,
            ranking_seconds=30,
            upload_limit_bytes=100_000,
            consistency_wait_seconds=0.3,
            registration_burst=10_000,
            login_burst=3,
            # All tests come from one address, and each is to be refused for what it did alone.
            login_address_burst=100_000,
            address_refresh_burst=100_000,
            address_write_burst=1_000_000,
            upload_burst=10_000,
            write_burst=60,
            write_per_second=0.01,
        )
        await asyncio.to_thread(provision, settings)
        async with open_gateway(settings) as gateway:
            yield gateway
            await gateway.stores.cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")
