"""The fixtures themselves: what they start, and that two tests never share a world."""

from __future__ import annotations

import redis

from jobs.services import probes
from sinks.settings import Settings
from tests.services import empty_redis


def test_settings_name_live_services_and_a_world_of_their_own(settings: Settings) -> None:
    assert "broker" in probes.kafka(settings.kafka_bootstrap)
    assert probes.cassandra(settings.cassandra_hosts) == "answers CQL"
    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.dbsize() == 0
    assert settings.topic("posts").endswith(".posts")
    assert settings.topic("posts") != "posts"


def test_each_taker_of_a_database_has_another_and_leaves_it_empty(redis_url: str) -> None:
    with empty_redis(redis_url) as first, empty_redis(redis_url) as second:
        assert first != second
        with redis.Redis.from_url(first) as client:
            client.set("a", 1)
        with redis.Redis.from_url(second) as client:
            assert client.dbsize() == 0
    with redis.Redis.from_url(first) as client:
        assert client.dbsize() == 0


def test_a_database_that_holds_something_is_left_alone(redis_url: str) -> None:
    with empty_redis(redis_url) as url, redis.Redis.from_url(url) as client:
        client.set("somebody", "else")
        with redis.Redis.from_url(redis_url) as keeper:
            keeper.delete(f"shutterlog:test-claim:{url.rpartition('/')[2]}")

        with empty_redis(redis_url) as other:
            assert other != url

        assert client.get("somebody") == b"else"
