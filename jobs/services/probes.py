"""Health, asked of the service itself: Kafka's metadata, a row of Cassandra and of ClickHouse, Redis's PONG, the API's
/healthz.

Each probe returns a short finding, or raises ``Unwell`` with the reason.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from jobs.services import redis_cluster
from sinks.redis_addresses import SLOTS, is_cluster, nodes_of

SECONDS = 3.0

_SILENT = logging.getLogger("shutterlog.probes")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Unwell(Exception):
    """The service did not answer as a healthy one does."""


def kafka(bootstrap: str) -> str:
    """Ask for the cluster's metadata."""
    reached = [entry for entry in bootstrap.split(",") if _listens(*_pair(entry, 9092))]
    if not reached:
        raise Unwell(f"nothing listens on {bootstrap}")
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}, logger=_SILENT)
    try:
        metadata = client.list_topics(timeout=SECONDS)
    except KafkaException as error:
        raise Unwell(str(error)) from error
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


def cassandra(hosts: str) -> str:
    """Select a row over CQL's native protocol, version 4, from the first host that answers."""
    problems = []
    for host, port in (_pair(entry, 9042) for entry in hosts.split(",")):
        try:
            with socket.create_connection((host, port), timeout=SECONDS) as connection:
                return _select_one(connection)
        except (OSError, Unwell) as error:
            problems.append(f"{host}:{port}: {error}")
    raise Unwell("; ".join(problems))


def clickhouse(url: str) -> str:
    """A row from ``url``, which holds no key: /ping says nothing of the engine."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/?query=SELECT%20version()", timeout=SECONDS) as answer:  # noqa: S310 - the address is ours
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


STARTUP, READY, AUTHENTICATE, QUERY, RESULT = 0x01, 0x02, 0x03, 0x07, 0x08


def _select_one(connection: socket.socket) -> str:
    version = b"".join(struct.pack(">H", len(text)) + text for text in (b"CQL_VERSION", b"3.0.0"))
    answer = _ask(connection, STARTUP, struct.pack(">H", 1) + version)
    if answer == AUTHENTICATE:
        return "answers, and asks for credentials"
    if answer != READY:
        raise Unwell(f"answered STARTUP with opcode {answer}")
    statement = b"SELECT release_version FROM system.local"
    answer = _ask(connection, QUERY, struct.pack(">i", len(statement)) + statement + struct.pack(">HB", 1, 0))
    if answer != RESULT:
        raise Unwell(f"answered a query with opcode {answer}")
    return "answers CQL"


def _ask(connection: socket.socket, opcode: int, body: bytes) -> int:
    connection.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
    _, _, _, answer, length = struct.unpack(">BBhBi", _read(connection, 9))
    _read(connection, length)
    return int(answer)


def _read(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        chunk = connection.recv(length - len(received))
        if not chunk:
            raise Unwell("closed the connection")
        received += chunk
    return received
