"""Addresses: the environment wins, default ports must be free, free ports are free."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.services import addresses, clusters, kafka
from jobs.services.failures import PortTaken, StackError
from jobs.services.home import Home
from sinks.redis_addresses import nodes_of
from sinks.settings import Settings


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_service_named_by_the_environment_is_not_local() -> None:
    environment = {"KAFKA_BOOTSTRAP": "broker:9092", "REDIS_URL": ""}

    assert addresses.local_services(addresses.SERVICES, environment) == ["cassandra", "redis", "clickhouse"]
    assert addresses.external(environment) == {"kafka_bootstrap": "broker:9092"}


def test_every_written_field_is_a_setting() -> None:
    ports = {purpose: port for group in addresses.PORTS.values() for purpose, port in group.items()}
    every_variable = dict.fromkeys(addresses.ENVIRONMENT.values(), "x")

    written = {**addresses.fields(ports), **addresses.external(every_variable)}

    assert written.keys() <= Settings.model_fields.keys()
    assert written.keys() == {
        *("kafka_bootstrap", "cassandra_hosts", "redis_url", "clickhouse_url", "api_port", "s3_endpoint", "s3_user"),
    }


def test_a_taken_default_port_says_what_helps(taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(addresses.PORTS, "redis", {"redis": taken_port})

    with pytest.raises(PortTaken) as caught:
        addresses.choose_ports("redis", free_ports=False, remembered={})

    message = str(caught.value)
    assert str(taken_port) in message
    assert "redis" in message
    assert "REDIS_URL" in message
    assert "--free-ports" in message


def test_free_ports_differ_and_are_free() -> None:
    first = addresses.choose_ports("kafka", free_ports=True, remembered={})
    second = addresses.choose_ports("cassandra", free_ports=True, remembered={}, avoid=first.values())

    chosen = [*first.values(), *second.values()]
    assert len(set(chosen)) == 4
    assert all(addresses.is_free(port) for port in chosen)


def test_a_remembered_port_is_taken_again_if_free(taken_port: int) -> None:
    free = addresses.choose_ports("redis", free_ports=True, remembered={})

    assert addresses.choose_ports("redis", free_ports=True, remembered=free) == free
    assert addresses.choose_ports("redis", free_ports=True, remembered={"redis": taken_port})["redis"] != taken_port


def test_clusters_are_written_as_settings_that_name_all_nodes() -> None:
    ports: dict[str, int] = {}
    nodes = clusters.node_names(addresses.SERVICES, {"CLICKHOUSE_URL": "http://elsewhere"})
    for node in nodes:
        if node != "clickhouse":
            ports |= addresses.choose_ports(node, free_ports=True, remembered={}, avoid=ports.values())
    assert len(set(ports.values())) == len(ports) == 3 * 2 + 2 + 6 * 2

    settings = Settings(**addresses.fields(ports))  # type: ignore[arg-type]
    assert len(settings.kafka_bootstrap.split(",")) == 3
    assert settings.cassandra_contact_points == (["127.0.0.1", "127.0.0.2", "127.0.0.3"], ports["cassandra-1"])
    assert len(nodes_of(settings.redis_url)) == 6
    assert settings.replication_factor == 3
    assert clusters.shown(nodes) == nodes
    assert clusters.shown(["kafka", "api"]) == list(addresses.SERVICES)


def test_a_home_of_single_services_cannot_become_one_of_clusters(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    (home.data / "kafka").mkdir(parents=True)
    (home.data / "redis-1").mkdir()
    clusters.refuse_another_kind(home, ["kafka", "redis-2", "clickhouse"])
    for name in ("kafka-1", "redis"):
        with pytest.raises(StackError, match="single services"):
            clusters.refuse_another_kind(home, [name])


def test_three_brokers_elect_among_themselves_and_acknowledge_on_two(tmp_path: Path) -> None:
    values = kafka.clustered(kafka.properties(tmp_path, 1, 2), 2, [11, 12, 13])
    assert values["controller.quorum.voters"] == "1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13"
    assert (values["node.id"], values["min.insync.replicas"], values["offsets.topic.replication.factor"]) == (
        *("2", "2", "3"),
    )
