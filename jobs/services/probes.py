"""Health, asked of the service itself: Kafka's metadata, a row of Cassandra and of ClickHouse, Redis's PONG, the API's
/healthz.

Each probe returns a short finding, or raises ``Unwell`` with the reason.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from jobs.services import cql, redis_cluster
from sinks.redis_addresses import SLOTS, is_cluster, nodes_of
from sinks.settings import Settings
from sinks.store_security import trusting, without_key

SECONDS = 3.0

_SILENT = logging.getLogger("shutterlog.probes")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


_NOBODY = cql.Login()


class Unwell(Exception):
    """The service did not answer as a healthy one does."""


def of(name: str, settings: Settings, media: Path) -> tuple[Callable[[], str] | None, str | None]:
    """How to ask the service ``name``, and its address as it may be shown; ``media`` is the folder of a local object
    store."""
    match name:
        case "kafka":
            address = settings.kafka_bootstrap
            return lambda: kafka(address, settings.kafka_client), address
        case "cassandra":
            return lambda: cassandra(settings.cassandra_hosts, _login(settings)), settings.cassandra_hosts
        case "redis":
            return lambda: redis_server(settings.redis_url), without_key(settings.redis_url)
        case "clickhouse":
            shown = without_key(settings.clickhouse_url)
            tls = trusting(settings.stores_ca) if shown.startswith("https:") else None
            return lambda: clickhouse(shown, tls), shown
        case "objects":
            endpoint = settings.s3_endpoint or ""
            return lambda: http(f"{endpoint}/healthz"), endpoint
        case "object_store":
            if settings.s3_endpoint:
                address = settings.s3_endpoint
                return lambda: http(address), address
            folder = settings.media_root or media
            return lambda: object_store(folder), str(folder)
        case "api":
            url = f"http://{settings.api_host}:{settings.api_port}"
            return lambda: http(f"{url}/healthz"), url
    return None, None


def kafka(bootstrap: str, client: Mapping[str, Any] | None = None) -> str:
    """Ask for the cluster's metadata. ``client`` is what a client begins with where Kafka is not plain."""
    reached = [entry for entry in bootstrap.split(",") if _listens(*_pair(entry, 9092))]
    if not reached:
        raise Unwell(f"nothing listens on {bootstrap}")
    heard: list[str] = []  # why it is not reached: the exception says only that it is not
    own: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "log_level": 0,
        "error_cb": lambda error: heard.append(error.str()),
    }
    admin = AdminClient({**(client or {}), **own}, logger=_SILENT)
    try:
        metadata = admin.list_topics(timeout=SECONDS)
    except KafkaException as error:
        admin.poll(0)
        raise Unwell(next(iter(heard), str(error))) from error
    if not metadata.brokers:
        raise Unwell("no broker is registered yet")
    return f"{len(metadata.brokers)} broker(s), {len(metadata.topics)} topics"


def redis_server(url: str) -> str:
    """PING, and the version; a Redis that is still loading its file is not well yet, nor a cluster that serves but some
    of its slots."""
    if is_cluster(url):
        return _redis_cluster(url)
    try:
        with redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
            client.ping()
            return f"Redis {client.info('server')['redis_version']}"
    except (redis.RedisError, OSError) as error:
        raise Unwell(str(error)) from error


def _redis_cluster(url: str) -> str:
    """What the first node says of the cluster that answers."""
    problems = []
    for node in nodes_of(url):
        try:
            with redis.Redis.from_url(node, socket_timeout=SECONDS, socket_connect_timeout=SECONDS) as client:
                version = client.info("server")["redis_version"]
                found = redis_cluster.info(client)
        except (redis.RedisError, OSError) as error:
            problems.append(str(error))
            continue
        if int(found["cluster_slots_ok"]) < SLOTS:
            raise Unwell(
                f"{SLOTS - int(found['cluster_slots_ok'])} of the cluster's {SLOTS} slots are served by nobody"
            )
        return f"Redis {version}, {found['cluster_size']} masters of {found['cluster_known_nodes']} nodes"
    raise Unwell("; ".join(problems))


def cassandra(hosts: str, login: cql.Login = _NOBODY) -> str:
    """Select a row from the first host that answers."""
    problems = []
    for host, port in (_pair(entry, 9042) for entry in hosts.split(",")):
        try:
            with cql.session(host, port, login, SECONDS) as connection:
                cql.query(connection, "SELECT release_version FROM system.local")
                return "answers CQL"
        except OSError as error:
            if isinstance(error, cql.Unadmitted) and not login.user:
                return "answers, and asks for credentials"
            problems.append(f"{host}:{port}: {error}")
    raise Unwell("; ".join(problems))


def new_cassandra(settings: Settings) -> str:
    """As ``cassandra``, of a local one that has to know its user and nobody else: makes it so where it is not yet."""
    host, port = _pair(settings.cassandra_hosts, 9042)
    try:
        cql.admit(host, port, _login(settings), SECONDS)
    except OSError as error:
        raise Unwell(str(error)) from error
    return cassandra(settings.cassandra_hosts, _login(settings))


def _login(settings: Settings) -> cql.Login:
    tls = trusting(settings.stores_ca) if settings.cassandra_tls else None
    return cql.Login(tls, settings.cassandra_user, settings.cassandra_key)


def clickhouse(url: str, tls: ssl.SSLContext | None = None) -> str:
    """A row from ``url``, which holds no key: /ping says nothing of the engine."""
    asked = f"{url.rstrip('/')}/?query=SELECT%20version()"
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS, context=tls) as answer:  # noqa: S310 - the address is ours
            return f"ClickHouse {answer.read(64).decode(errors='replace').strip()}"
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (401, 403):
                return "answers, and asks for credentials"
            raise Unwell(f"HTTP {error.code}") from error
    except OSError as error:
        raise Unwell(str(error)) from error


def object_store(folder: Path) -> str:
    """The local object store is a folder that can be written to."""
    if not os.access(folder, os.W_OK):
        raise Unwell(f"{folder} cannot be written to")
    return "folder"


def http(url: str) -> str:
    """A GET that answers, whatever it says short of a server error."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 - the address is ours
            return f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        with error:
            if error.code < 500 and not url.endswith("/healthz"):
                return f"HTTP {error.code}"
            raise Unwell(f"HTTP {error.code}") from error
    except OSError as error:
        raise Unwell(str(error)) from error


def finding(probe: Callable[[], str]) -> tuple[bool, str]:
    """Whether ``probe`` found its service well, and what it said."""
    try:
        return True, probe()
    except Unwell as error:
        return False, str(error)


def _pair(entry: str, default: int) -> tuple[str, int]:
    host, colon, port = entry.strip().rpartition(":")
    return (host, int(port)) if colon else (port, default)


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=SECONDS):
            return True
    except OSError:
        return False
