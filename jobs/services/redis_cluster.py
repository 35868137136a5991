"""A Redis Cluster of local programs: three masters, each with a replica that takes over where its master dies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import redis

from jobs.services.failures import NeverHealthy
from jobs.services.home import Home, write_text
from jobs.services.programs import Program
from jobs.services.redis import binary, configuration
from sinks.redis_addresses import SLOTS

MASTERS = 3
TIMEOUT_MS = 2000
"""After so long without an answer a node counts as failing; its replica takes over about a second later."""
_SECONDS = 5.0
_PATIENCE = 30.0


def cluster_configuration(bus_port: int, timeout_ms: int) -> str:
    """What ``redis.conf`` has besides."""
    lines = {
        "cluster-enabled": "yes",
        "cluster-port": str(bus_port),
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(timeout_ms),
        # Buckets of the other masters are served while one is away.
        "cluster-require-full-coverage": "no",
        # However old its data: what it lacks is seen by the fences and said again from the log.
        "cluster-replica-validity-factor": "0",
        "cluster-allow-replica-migration": "no",
        "repl-diskless-sync-delay": "0",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def program(home: Home, name: str, port: int, bus_port: int, timeout_ms: int = TIMEOUT_MS) -> Program:
    """Write the configuration of one node and say how to start it."""
    folder = home.data / name
    folder.mkdir(parents=True, exist_ok=True)
    path = home.conf / f"{name}.conf"
    write_text(path, configuration(folder, port) + cluster_configuration(bus_port, timeout_ms))
    return Program(name=name, command=[str(binary()), str(path)])


def form(nodes: Sequence[tuple[int, int]]) -> None:
    """Make one cluster of ``nodes`` (port, bus port), the masters first, then the replica of each; nothing is done
    where they are one already. Blocks. Raises ``NeverHealthy``."""
    with ExitStack() as stack:
        clients = [stack.enter_context(node(port)) for port, _ in nodes]
        known = [_myself(client) for client in clients]
        if int(info(clients[0])["cluster_slots_assigned"]) < SLOTS:
            for number, client in enumerate(clients):
                say(client, "SET-CONFIG-EPOCH", number + 1)
            for number, client in enumerate(clients[:MASTERS]):
                first, end = SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS
                say(client, "ADDSLOTSRANGE", first, end - 1)
            _meet(clients[0], nodes[1:])
            _until(lambda: all(int(info(each)["cluster_known_nodes"]) == len(nodes) for each in clients), "meet")
            for number, replica in enumerate(clients[MASTERS:]):
                _until(lambda of=number, it=replica: _replicates(it, known[of]), "replicate")
        else:  # known to each other, but maybe on other ports
            _meet(clients[0], nodes[1:])
        _until(lambda: is_whole(clients), "agree and catch up")


def is_whole(clients: Sequence[redis.Redis]) -> bool:
    """Whether all these nodes know of all slots, and every replica has what its master has. Raises
    ``redis.RedisError``."""
    return all(info(client)["cluster_state"] == "ok" and _is_in_step(client) for client in clients)


def _meet(client: redis.Redis, others: Sequence[tuple[int, int]]) -> None:
    for port, bus_port in others:
        say(client, "MEET", "127.0.0.1", port, bus_port)


def node(port: int) -> redis.Redis:
    """A client of one local node alone."""
    return redis.Redis(
        host="127.0.0.1", port=port, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, protocol=2
    )


def say(client: redis.Redis, *words: str | int) -> Any:
    """The answer to ``CLUSTER …``, as the node words it. Raises ``redis.RedisError``."""
    return client.execute_command("CLUSTER", *words)  # type: ignore[no-untyped-call]


def _myself(client: redis.Redis) -> str:
    answer: bytes = say(client, "MYID")
    return answer.decode()


def info(client: redis.Redis) -> dict[str, str]:
    """``CLUSTER INFO``, by its names. Raises ``redis.RedisError``."""
    answer: bytes = say(client, "INFO")
    return dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)


def _replicates(client: redis.Redis, master: str) -> bool:
    try:
        say(client, "REPLICATE", master)
    except redis.ResponseError:  # it has not heard of its master yet
        return False
    return True


def _is_in_step(client: redis.Redis) -> bool:
    found: Any = client.info()
    # A replica whose first file is not written yet does not end when it is told to.
    is_written = not found["aof_rewrite_in_progress"] and not found["aof_rewrite_scheduled"]
    return bool(is_written and (found["role"] == "master" or found["master_link_status"] == "up"))


def _until(is_so: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise NeverHealthy(f"the nodes of the Redis Cluster do not {what}")
        time.sleep(0.05)
