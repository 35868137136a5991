"""The local Kafka: one KRaft node that keeps the log for ever."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from jobs.services.failures import StackError
from jobs.services.home import Home, write_text
from jobs.services.jars import java, resolve
from jobs.services.programs import Program

HEAP = ["-Xms256m", "-Xmx512m"]

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


def render(values: Mapping[str, str]) -> str:
    """A properties file."""
    return "".join(f"{name}={value}\n" for name, value in values.items())


def program(home: Home, port: int, controller_port: int) -> Program:
    """Write the configuration, format the folder when it is new, and say how to start Kafka."""
    folder = home.data / "kafka"
    config = home.conf / "kafka.properties"
    logging = home.conf / "kafka-log4j2.properties"
    write_text(config, render(properties(folder, port, controller_port)))
    write_text(logging, LOGGING)
    command = [java(), *HEAP, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{resolve('kafka')}/*"]
    if not (folder / "meta.properties").exists():
        _format(command, config)
    return Program(name="kafka", command=[*command, "kafka.Kafka", str(config)], stop_seconds=30)


def _format(command: list[str], config: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
    formatting = [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config)]
    answer = subprocess.run(formatting, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise StackError(f"Kafka's folder could not be formatted:\n{(answer.stdout + answer.stderr)[-2000:]}")
