"""Fixtures for every room. Nothing is started until a test asks for it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.services import objects
from jobs.services.home import Home
from jobs.services.stack import Stack
from sinks.settings import Settings
from tests import patience
from tests.services import SessionServices, begin_session, empty_redis, ignore_signals, stop_on_signals

SERVICES = pytest.StashKey[SessionServices]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How far the deterministic simulation goes."""
    parser.addoption("--seeds", type=int, default=1000, help="seeds of the simulation (tests/agents -k simulation)")
    parser.addoption("--steps", type=int, default=2000, help="steps of the history of people (tests/api -k histories)")
    parser.addoption("--examples", type=int, default=2, help="requests of each route (tests/api -k contract)")
    parser.addoption("--fuzz", type=int, default=60, help="forms and bodies that nobody would send (tests/api -k fuzz)")
    parser.addoption("--people", type=int, default=None, help="people of the world of tests/e2e -k erasure")
    parser.addoption("--seed", type=int, default=None, help="run this one seed (of the simulation, of the history)")


def pytest_configure(config: pytest.Config) -> None:
    """Name the session's folder before workers are started, so that all share it."""
    config.stash[SERVICES] = begin_session()
    # 34,000 places in the index of every world would cost each some seconds; the tests of places ask for them.
    os.environ["PLACES_PACKAGED"] = "false"
    config.pluginmanager.register(patience)
    if not hasattr(config, "workerinput"):
        stop_on_signals()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the session started, however it ended."""
    if not hasattr(config, "workerinput") and SERVICES in config.stash:
        ignore_signals()
        config.stash[SERVICES].stop()


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> SessionServices:
    """The session's services, by name, started on first use."""
    return pytestconfig.stash[SERVICES]


@pytest.fixture(scope="session")
def kafka_bootstrap(services: SessionServices) -> str:
    """A Kafka for the session. Use ``settings.topic_prefix`` to have topics and groups of your own."""
    return services.address("kafka")


@pytest.fixture(scope="session")
def redis_url(services: SessionServices) -> str:
    """A Redis for the session. Its database 0 is nobody's; take one of your own from ``own_redis_url``."""
    return services.address("redis")


@pytest.fixture(scope="session")
def cassandra_hosts(services: SessionServices) -> str:
    """A Cassandra for the session. Use ``settings.cassandra_keyspace`` to have tables of your own."""
    return services.address("cassandra")


@pytest.fixture(scope="session")
def clickhouse_url(services: SessionServices) -> str:
    """A ClickHouse for the session, with the writer's key. Use ``settings.clickhouse_database`` for tables of your
    own."""
    return services.address("clickhouse")


@pytest.fixture
def s3(services: SessionServices, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, Path]:
    """Settings of a local S3 with an empty bucket of one test's own, and the bucket's folder."""
    monkeypatch.delenv("S3_ENDPOINT", raising=False)
    name, endpoint = uuid.uuid4().hex, services.address("objects")
    folder = objects.folder(services.local.home) / name
    folder.mkdir()
    return Settings(shutterlog_home=services.root, s3_endpoint=endpoint, s3_bucket=name), folder


@pytest.fixture
def own_redis_url(redis_url: str) -> Iterator[str]:
    """An empty logical database for one test."""
    with empty_redis(redis_url) as url:
        yield url


@pytest.fixture
def settings(kafka_bootstrap: str, own_redis_url: str, cassandra_hosts: str, tmp_path: Path) -> Settings:
    """Settings for a world of its own: topics, groups, keyspace, Redis database and home of one test."""
    name = uuid.uuid4().hex[:10]
    return Settings(
        shutterlog_home=tmp_path / "home",
        kafka_bootstrap=kafka_bootstrap,
        redis_url=own_redis_url,
        cassandra_hosts=cassandra_hosts,
        cassandra_keyspace=f"test_{name}",
        clickhouse_database=f"test_{name}",
        topic_prefix=f"test-{name}.",
        jwt_secret="only for tests, and long enough for HS256",
    )


@pytest.fixture
def own_services(tmp_path: Path) -> Iterator[Callable[..., Settings]]:
    """Services that one test may kill: ``own_services("redis")`` starts them and returns Settings with their addresses.

    They are local programs, whatever the environment names, and are ended with the test.
    """
    stack = Stack(Home.at(tmp_path / "own"), {})

    def start(*names: str) -> Settings:
        stack.start_services(names, free_ports=True)
        return Settings(shutterlog_home=stack.home.root, **json.loads(stack.home.addresses_file.read_text()))

    yield start
    assert stack.stop() == {}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is absent")
    return folder
