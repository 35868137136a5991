"""The services that tests use, started when a test first asks for them and once a session.

In this order: the address in the environment; a container, where a Docker engine answers; a local program in a
temporary home on free ports. With several pytest workers all share the services, which the first process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis

from jobs.services import addresses, pids
from jobs.services.home import Home, file_lock, read_json, write_json
from jobs.services.stack import Stack

HOME_VARIABLE = "SHUTTERLOG_TEST_HOME"
PREFIX = "shutterlog-test-"
FIELDS = {
    "kafka": "kafka_bootstrap",
    "cassandra": "cassandra_hosts",
    "redis": "redis_url",
    "clickhouse": "clickhouse_url",
    "objects": "s3_endpoint",
}
CLAIM_SECONDS = 3600

LARGER_BATCHES = (
    "sed -i 's/^batch_size_fail_threshold:.*/batch_size_fail_threshold: 8MiB/' /etc/cassandra/cassandra.yaml"
)

UNFLUSHED_SCHEMAS = "-Dcassandra.test.flush_local_schema_changes=false"
"""Cassandra's own switch for tests: a change of the schema goes to the commit log alone. Each test's keyspace is a few
dozen such changes, and each flush of theirs is several writes that the disk has to confirm: on a busy disk 25 s a
keyspace, and 2 to 5 s without. Only for what tests share: a node that is killed may not know such a schema again."""

KEPT: list[Any] = []
"""Containers end when nothing refers to them any more."""


class SessionServices:
    """The services of one test session. Every process of the session makes one over the same folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.local = Stack(Home.at(root), {})

    def address(self, name: str) -> str:
        """Where the service ``name`` is; started now if it is not yet."""
        named = os.environ.get(addresses.ENVIRONMENT[name])
        if named:
            return named
        self.root.mkdir(parents=True, exist_ok=True)
        with file_lock(self.root / "session.lock"):
            known = read_json(self.root / "session.json")
            if FIELDS[name] not in known:
                known[FIELDS[name]] = self._in_container(name) or self._local(name)
                write_json(self.root / "session.json", known)
        return str(known[FIELDS[name]])

    def stop(self) -> None:
        """End everything that the session started, by pid, and remove its folder."""
        if not self.root.exists():
            return
        for container in read_json(self.root / "containers.json").values():
            _remove_container(container)
        left = self.local.stop() if (self.root / "run").exists() else {}
        shutil.rmtree(self.root, ignore_errors=True)
        if left:
            raise RuntimeError(f"test services outlived the session: {left}")

    def _local(self, name: str) -> str:
        java = f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} {UNFLUSHED_SCHEMAS}".strip()
        with patch.dict(os.environ, {"JAVA_TOOL_OPTIONS": java}):
            self.local.start_services([name], free_ports=True)
        address = str(json.loads(self.local.home.addresses_file.read_text())[FIELDS[name]])
        return with_key(address, self.local.home) if name == "clickhouse" else address

    def _in_container(self, name: str) -> str | None:
        if name not in CONTAINERS or not docker_answers():
            return None
        try:
            container, address = CONTAINERS[name]()
        except Exception as error:  # an engine without the image, or without room: the local program does as well
            print(f"no container for {name}, using a local program: {error}", file=sys.stderr)
            return None
        KEPT.append(container)
        known = read_json(self.root / "containers.json")
        write_json(self.root / "containers.json", {**known, name: str(container.get_wrapped_container().id)})
        return address


def with_key(url: str, home: Home) -> str:
    """The address of a home's ClickHouse, for who may write."""
    return url.replace("//", f"//writer:{read_json(home.secrets_file)['clickhouse_key']}@")


def begin_session() -> SessionServices:
    """The session's services. The first process names the folder and ends what dead sessions left."""
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return SessionServices(Path(named))
    _end_dead_sessions()
    root = Path(tempfile.mkdtemp(prefix=PREFIX))
    write_json(root / "owner.json", {"pid": os.getpid(), "born": pids.born(os.getpid())})
    os.environ[HOME_VARIABLE] = str(root)
    return SessionServices(root)


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the session as Ctrl-C does, through its teardown."""
    for order in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(order, signal.default_int_handler)


def ignore_signals() -> None:
    """While the services are ended, a second Ctrl-C must not leave them behind."""
    for order in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(order, signal.SIG_IGN)


def docker_answers() -> bool:
    """Whether there is a Docker engine to start containers with."""
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    import docker

    try:
        client = docker.from_env(timeout=5)
        with contextlib.closing(client):
            return bool(client.ping())
    except Exception:  # whatever is wrong with the engine, the local programs do as well
        return False


@contextlib.contextmanager
def empty_redis(url: str) -> Iterator[str]:
    """The URL of an empty logical database that no other test uses, flushed afterwards.

    The claim is a key in the database that ``url`` names; a database that holds anything is left alone.
    """
    base = url.rstrip("/")
    if base.rpartition("/")[2].isdigit() and base.count("/") > 2:
        base = base.rpartition("/")[0]
    with redis.Redis.from_url(url) as keeper:
        count = int(keeper.config_get("databases")["databases"])
        for number in range(1, count):
            claim = f"shutterlog:test-claim:{number}"
            if not keeper.set(claim, os.getpid(), nx=True, ex=CLAIM_SECONDS):
                continue
            with redis.Redis.from_url(f"{base}/{number}") as client:
                if client.dbsize():
                    keeper.delete(claim)
                    continue
                try:
                    yield f"{base}/{number}"
                finally:
                    client.flushdb()
                    keeper.delete(claim)
                return
    raise RuntimeError(f"no empty logical database is left in {url}")


def _end_dead_sessions() -> None:
    """A session that was killed outright could not end its services; the next one does."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = read_json(root / "owner.json")
        if owner and pids.born(owner["pid"]) != owner["born"]:
            with contextlib.suppress(OSError, RuntimeError):
                SessionServices(root).stop()


def _kafka_container() -> tuple[Any, str]:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer("confluentinc/cp-kafka:7.6.0").with_kraft()
    container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    container.with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
    container.start()
    return container, str(container.get_bootstrap_server())


def _cassandra_container() -> tuple[Any, str]:
    from testcontainers.community.cassandra import CassandraContainer

    container = CassandraContainer("cassandra:5.0")
    container.with_command(["sh", "-c", f"{LARGER_BATCHES} && exec docker-entrypoint.sh cassandra -f"])
    container.start()
    ((host, port),) = container.get_contact_points()
    return container, f"{host}:{port}"


def _redis_container() -> tuple[Any, str]:
    from testcontainers.community.redis import RedisContainer

    container = RedisContainer("redis:7")
    container.with_command("redis-server --appendonly yes --databases 256 --set-max-intset-entries 4096")
    container.start()
    return container, f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}/0"


def _clickhouse_container() -> tuple[Any, str]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    container = DockerContainer("clickhouse/clickhouse-server:25.8").with_exposed_ports(8123)
    container.with_env("CLICKHOUSE_USER", "writer").with_env("CLICKHOUSE_PASSWORD", "written")
    container.waiting_for(HttpWaitStrategy(8123).for_status_code(200))
    container.start()
    return container, f"http://writer:written@{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"


def _remove_container(identity: str) -> None:
    import docker

    with contextlib.closing(docker.from_env()) as client, contextlib.suppress(docker.errors.NotFound):
        client.containers.get(identity).remove(force=True, v=True)


CONTAINERS: dict[str, Callable[[], tuple[Any, str]]] = {
    "kafka": _kafka_container,
    "cassandra": _cassandra_container,
    "redis": _redis_container,
    "clickhouse": _clickhouse_container,
}
