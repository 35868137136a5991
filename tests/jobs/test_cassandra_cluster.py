"""Whether nodes of Cassandra are one cluster, asked of a real one that is alone."""

from __future__ import annotations

import socket

import pytest

from jobs.services import cassandra_cluster, cql
from jobs.services.failures import NeverHealthy


@pytest.fixture
def node(cassandra_hosts: str) -> tuple[str, int]:
    host, _, port = cassandra_hosts.rpartition(":")
    return host, int(port)


def test_a_column_is_read_as_the_wire_has_it(node: tuple[str, int]) -> None:
    with cql.session(*node, cql.Login(), 5) as connection:
        assert cql.column(connection, "SELECT key FROM system.local") == [b"local"]
        keyspaces = "SELECT keyspace_name FROM system_schema.keyspaces"
        assert cql.column(connection, f"{keyspaces} WHERE keyspace_name = 'x'") == []
        assert {b"system", b"system_schema"} <= set(cql.column(connection, keyspaces))
        with pytest.raises(cql.Unspoken, match="2 columns"):
            cql.column(connection, "SELECT key, bootstrapped FROM system.local")


def test_a_node_is_whole_by_itself_and_not_with_one_that_it_does_not_know(
    node: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cassandra_cluster.is_whole([node])
    assert not cassandra_cluster.is_whole([node, node])
    monkeypatch.setattr(cassandra_cluster, "_PATIENCE", 0.5)
    cassandra_cluster.form([node])
    with pytest.raises(NeverHealthy, match="do not know each other"):
        cassandra_cluster.form([node, node])


def test_what_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cassandra_cluster, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NeverHealthy, match="do not all answer"):
        cassandra_cluster.form([("127.0.0.1", port)])
