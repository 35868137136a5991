"""When the local nodes of Cassandra are one cluster."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobs.services import cql
from jobs.services.failures import NeverHealthy

_SECONDS = 5.0
_PATIENCE = 120.0
_VERSIONS = tuple(f"SELECT schema_version FROM system.{table}" for table in ("local", "peers"))  # noqa: S608 (ours)


def form(nodes: Sequence[tuple[str, int]]) -> None:
    """Wait until all of ``nodes`` (host, port) know each other and have one schema: a node answers as soon as it runs,
    and only those that know each other agree on what is made. Blocks. Raises ``NeverHealthy``."""
    deadline = time.monotonic() + _PATIENCE
    why = ""
    while time.monotonic() < deadline:
        try:
            if is_whole(nodes):
                return
            why = "do not know each other, or do not have one schema"
        except OSError as error:
            why = f"do not all answer: {error}"
        time.sleep(0.2)
    raise NeverHealthy(f"the nodes of Cassandra {why}, after {_PATIENCE:.0f} s")


def is_whole(nodes: Sequence[tuple[str, int]]) -> bool:
    """Whether each of ``nodes`` knows of the schema of all, and it is the same. Raises ``OSError``."""
    found = [_schemas(host, port) for host, port in nodes]
    return all(len(each) == len(nodes) for each in found) and len({one for each in found for one in each}) == 1


def _schemas(host: str, port: int) -> list[bytes]:
    """The version of its schema, and of the others' that it knows."""
    with cql.session(host, port, cql.Login(), _SECONDS) as connection:
        return [version for statement in _VERSIONS for version in cql.column(connection, statement)]
