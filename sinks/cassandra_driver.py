"""The driver's session, set up for Shutterlog, and what its errors mean. Everything here blocks.

Only ``sinks.cassandra`` uses it, which is the same without blocking.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias, TypeVar

from cassandra import ConsistencyLevel, OperationTimedOut, Timeout, Unavailable, UnresolvableContactPoints
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import IsBootstrappingErrorMessage, OverloadedErrorMessage

from sinks.errors import StoreAway
from sinks.settings import Settings
from sinks.store_security import trusting

Row: TypeAlias = Any
"""A named tuple with the columns' names; ``[applied]`` of a lightweight transaction is ``applied``."""
Done = TypeVar("Done")

AWAY = (
    NoHostAvailable,
    OperationTimedOut,
    Unavailable,
    Timeout,
    UnresolvableContactPoints,
    OverloadedErrorMessage,
    IsBootstrappingErrorMessage,
    ConnectionException,
    ConnectionBusy,
    NoConnectionsAvailable,
    OSError,
)
"""Errors that say nothing about the statement itself. ``Timeout`` is both of ReadTimeout and WriteTimeout."""


class KeyspaceMissing(LookupError):
    """The keyspace does not exist: ``shutterlog provision`` makes it."""


def mapped(call: Callable[[], Done]) -> Done:
    try:
        return call()
    except AWAY as error:
        raise StoreAway(f"Cassandra: {error}") from error


def open_session(
    settings: Settings, create_keyspace: bool, request_seconds: float, consistency: int
) -> tuple[Cluster, Session, int]:
    hosts, port = settings.cassandra_contact_points
    # Routing by token needs the schema of every keyspace, fetched again at each change: worth it in a cluster only.
    clustered = len(hosts) > 1
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy()) if clustered else RoundRobinPolicy()
    profile = ExecutionProfile(
        load_balancing_policy=policy,
        consistency_level=consistency,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        request_timeout=request_seconds,
        row_factory=named_rows,
    )
    cluster = Cluster(
        hosts,
        port=port,
        connection_class=LibevConnection,
        # Version 5 puts a checksum, computed in Python, around every frame; 4 has all that is used here.
        protocol_version=4,
        compression=False,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ExponentialReconnectionPolicy(0.25, 4.0),
        connect_timeout=5,
        control_connection_timeout=10,
        max_schema_agreement_wait=30,
        idle_heartbeat_interval=5,
        idle_heartbeat_timeout=10,
        schema_metadata_enabled=clustered,
        token_metadata_enabled=clustered,
        monitor_reporting_enabled=False,
        **guarded(settings),
    )
    try:
        session = mapped(cluster.connect)
        replicas = mapped(partial(_choose_keyspace, session, settings, create_keyspace))
    except BaseException:
        cluster.shutdown()
        raise
    return cluster, session, replicas


def guarded(settings: Settings) -> dict[str, Any]:
    """What ``Cluster`` is told of TLS and of who logs in; nothing where neither is set."""
    told: dict[str, Any] = {}
    if settings.cassandra_tls:
        # Which name each node's certificate has to have, the driver adds itself: the one it connects to.
        told["ssl_context"] = trusting(settings.stores_ca)
    if settings.cassandra_user:
        told["auth_provider"] = PlainTextAuthProvider(settings.cassandra_user, settings.cassandra_key)
    return told


def _choose_keyspace(session: Session, settings: Settings, create: bool) -> int:
    """Make it the session's, and return how many replicas it has in the data centre with the fewest."""
    keyspace = settings.cassandra_keyspace
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,47}", keyspace):
        raise ValueError(f"{keyspace!r} cannot name a keyspace: 1 to 48 of a-z, 0-9 and _, a letter first")
    if create:
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
            f"{{'class': 'NetworkTopologyStrategy', 'replication_factor': {settings.replication_factor}}}",
            timeout=60.0,
        )
    known = session.execute(
        "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", (keyspace,)
    ).one()
    if known is None:
        raise KeyspaceMissing(f"keyspace {keyspace!r} does not exist: run `shutterlog provision`")
    session.set_keyspace(keyspace)
    return min(int(value) for name, value in known.replication.items() if name != "class")


def named_rows(columns: list[str], rows: Iterable[Sequence[object]]) -> list[Row]:
    make = _row_type(tuple(columns))._make
    return [make(row) for row in rows]


@lru_cache(maxsize=1024)
def _row_type(columns: tuple[str, ...]) -> Any:
    # The driver's own factory makes a class for every answer, which costs more than most answers do.
    names = [re.sub(r"\W+", "_", column).strip("_") for column in columns]
    return namedtuple("Row", names, rename=True)
