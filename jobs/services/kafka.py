"""The local Kafka, one KRaft node or three, that keeps the log for ever."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.services.failures import StackError
from jobs.services.guard import USER, Guard
from jobs.services.home import Home, write_text
from jobs.services.jars import java, resolve
from jobs.services.programs import Program

HEAP = ["-Xms256m", "-Xmx512m"]
NODE_HEAP = ["-Xms128m", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
"""Of one of three, which share the machine: started at a third of the work, and a little slower afterwards."""


class Link(NamedTuple):
    """A second way to the broker: the port it listens on for it, and the port that clients are told to come to."""

    port: int
    advertised: int


LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def properties(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    """``server.properties``: the log is the database, so nothing expires, neither records nor commits."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(folder),
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",
        "log.retention.bytes": "-1",
        "offsets.retention.minutes": "5256000",
        "log.segment.bytes": str(128 * 1024 * 1024),
        "log.index.size.max.bytes": str(4 * 1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
    }


def clustered(values: Mapping[str, str], number: int, controllers: Sequence[int]) -> dict[str, str]:
    """``values`` for the node ``number``, from 1, of as many as there are ``controllers``' ports. One of three may be
    away: what was acknowledged is on two."""
    replicas, least = str(len(controllers)), str(len(controllers) - 1)
    return {
        **values,
        "node.id": str(number),
        "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(controllers, 1)),
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": least,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": least,
        "default.replication.factor": replicas,
        "min.insync.replicas": least,
        # Others lead its partitions so soon after a broker has died. On a busy machine one that lives may be late.
        "broker.session.timeout.ms": "6000",
        "broker.heartbeat.interval.ms": "1000",
        "controller.quorum.fetch.timeout.ms": "4000",
        "controller.quorum.election.timeout.ms": "2000",
    }


def linked(values: Mapping[str, str], link: Link) -> dict[str, str]:
    """``values``, with one more listener, for clients that come over ``link``."""
    more = {
        "listeners": f"LINK://127.0.0.1:{link.port}",
        "advertised.listeners": f"LINK://127.0.0.1:{link.advertised}",
        "listener.security.protocol.map": "LINK:PLAINTEXT",
    }
    return {**values, **{name: f"{values[name]},{value}" for name, value in more.items()}}


def guarded(values: Mapping[str, str], guard: Guard) -> dict[str, str]:
    """``values`` with TLS on every listener, the controller's too, and one user who alone may come to them.

    PLAIN, since a broker takes its users for it from its own file: those of SCRAM stand in the log's metadata, which a
    home that began without a guard does not have.
    """
    login = f'username="{USER}" password="{guard.key}" user_{USER}="{guard.key}"'
    module = f"org.apache.kafka.common.security.plain.PlainLoginModule required {login};"
    return {
        **values,
        "listeners": values["listeners"].replace("PLAINTEXT://", "SASL_SSL://"),
        "advertised.listeners": values["advertised.listeners"].replace("PLAINTEXT://", "SASL_SSL://"),
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SASL_SSL",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": module,
        "listener.name.controller.plain.sasl.jaas.config": module,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(guard.pem),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(guard.ca),
    }


def render(values: Mapping[str, str]) -> str:
    """A properties file."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def program(
    home: Home, port: int, controller_port: int, link: Link | None = None, guard: Guard | None = None
) -> Program:
    """Write the configuration, format the folder when it is new, and say how to start Kafka."""
    values = properties(home.data / "kafka", port, controller_port)
    if guard:
        values = guarded(values, guard)
    return _program(home, "kafka", linked(values, link) if link else values, HEAP)


def node_program(home: Home, number: int, port: int, controllers: Sequence[int]) -> Program:
    """The same of one node of a cluster; see ``clustered``."""
    name = f"kafka-{number}"
    values = properties(home.data / name, port, controllers[number - 1])
    return _program(home, name, clustered(values, number, controllers), NODE_HEAP)


def _program(home: Home, name: str, values: Mapping[str, str], heap: Sequence[str]) -> Program:
    config = home.conf / f"{name}.properties"
    logging = home.conf / "kafka-log4j2.properties"
    write_text(config, render(values), 0o600)  # a guarded one has a key in it
    write_text(logging, LOGGING)
    command = [java(), *heap, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{resolve('kafka')}/*"]
    if not (Path(values["log.dirs"]) / "meta.properties").exists():
        _format(command, config, _cluster_id(home))
    return Program(name=name, command=[*command, "kafka.Kafka", str(config)], stop_seconds=30)


def _cluster_id(home: Home) -> str:
    """The same for all nodes of a home; made with the first."""
    kept = home.data / "kafka-cluster-id"
    if not kept.exists():
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        write_text(kept, made.replace("-", "A"))
    return kept.read_text()


def _format(command: list[str], config: Path, cluster: str) -> None:
    formatting = [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
    answer = subprocess.run(formatting, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise StackError(f"Kafka's folder could not be formatted:\n{(answer.stdout + answer.stderr)[-2000:]}")
