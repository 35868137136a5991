"""Which services are local, on which ports, and what ``addresses.json`` says of them."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Iterable, Mapping

from jobs.services.failures import PortTaken

SERVICES = ("kafka", "cassandra", "redis", "clickhouse")
"""What ``up`` starts. The local S3, ``objects``, is for chaos and for tests: ``up`` has a folder in its place."""

ENVIRONMENT = {
    "kafka": "KAFKA_BOOTSTRAP",
    "cassandra": "CASSANDRA_HOSTS",
    "redis": "REDIS_URL",
    "clickhouse": "CLICKHOUSE_URL",
    "objects": "S3_ENDPOINT",
    "api": "API_PORT",
}
"""The variable that names each service's address. Where it is set, no local service is started."""

PORTS: Mapping[str, Mapping[str, int]] = {
    "kafka": {"kafka": 9092, "kafka_controller": 9093},
    "cassandra": {"cassandra": 9042, "cassandra_storage": 7000},
    "redis": {"redis": 6379},
    "clickhouse": {"clickhouse": 8123},
    "objects": {"objects": 9000},
    "api": {"api": 8080},
}
"""The ports that each local program listens on, with their defaults."""

CLUSTERS: Mapping[str, tuple[str, ...]] = {
    "kafka": ("kafka-1", "kafka-2", "kafka-3"),
    "cassandra": ("cassandra-1", "cassandra-2", "cassandra-3"),
    "redis": ("redis-1", "redis-2", "redis-3", "redis-4", "redis-5", "redis-6"),
}
"""The nodes of the services that can be clusters. Of Redis's, the first three begin as masters."""
REPLICAS = 3
"""Of each record and of each row, in clusters."""
_SERVICE_OF = {node: service for service, nodes in CLUSTERS.items() for node in nodes}
NODE_PORTS: Mapping[str, Mapping[str, int]] = {
    **{f"kafka-{n}": {f"kafka-{n}": 9090 + 2 * n, f"kafka-{n}_controller": 9091 + 2 * n} for n in (1, 2, 3)},
    # Its nodes have an address each, and their ports in common: that is how its drivers want them.
    "cassandra-1": {"cassandra-1": 9042, "cassandra-1_storage": 7000},
    "cassandra-2": {},
    "cassandra-3": {},
    **{node: {node: 7100 + n, f"{node}_bus": 17100 + n} for n, node in enumerate(CLUSTERS["redis"], 1)},
}
"""As ``PORTS``, of the nodes of clusters."""

S3_USER = "shutterlog"
"""Id of the access key of the local S3."""

FREE_RANGE = range(20000, 32000)
"""Free ports are drawn below the range that the kernel hands to outgoing connections."""


def external(environment: Mapping[str, str]) -> dict[str, str]:
    """The services whose address the environment names, as Settings fields."""
    return {
        variable.lower(): environment[variable]
        for name, variable in ENVIRONMENT.items()
        if name != "api" and environment.get(variable)
    }


def local_services(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Those of ``names`` that must be started here."""
    return [name for name in names if not environment.get(ENVIRONMENT[service_of(name)])]


def service_of(name: str) -> str:
    """The service that a node belongs to; any other name stays as it is."""
    return _SERVICE_OF.get(name, name)


def ports_of(name: str) -> Mapping[str, int]:
    """What a program or a node listens on, with the defaults."""
    return PORTS[name] if name in PORTS else NODE_PORTS[name]


def host_of(node: str) -> str:
    """The loopback address of a node."""
    return f"127.0.0.{node.rpartition('-')[2]}" if service_of(node) == "cassandra" else "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether nothing listens on ``port`` of the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def choose_ports(
    service: str, *, free_ports: bool, remembered: Mapping[str, int], avoid: Collection[int] = ()
) -> dict[str, int]:
    """The ports for one local program: its defaults, or with ``free_ports`` the last ones if still free, else new ones.

    Raises ``PortTaken`` where a default port is in use.
    """
    chosen: dict[str, int] = {}
    for purpose, default in ports_of(service).items():
        if free_ports:
            last = remembered.get(purpose)
            known = {*avoid, *chosen.values()}
            chosen[purpose] = last if last and last not in known and is_free(last) else draw(known)
        else:
            require_free(service, purpose, default)
            chosen[purpose] = default
    return chosen


def fields(ports: Mapping[str, int]) -> dict[str, str | int]:
    """The addresses of local services, in the names that Settings gives them."""
    written: dict[str, str | int] = {}
    if "kafka" in ports:
        written["kafka_bootstrap"] = f"127.0.0.1:{ports['kafka']}"
    if "cassandra" in ports:
        written["cassandra_hosts"] = f"127.0.0.1:{ports['cassandra']}"
    if "redis" in ports:
        written["redis_url"] = f"redis://127.0.0.1:{ports['redis']}/0"
    if "clickhouse" in ports:
        written["clickhouse_url"] = f"http://127.0.0.1:{ports['clickhouse']}"
    if "objects" in ports:
        written |= {"s3_endpoint": f"http://127.0.0.1:{ports['objects']}", "s3_user": S3_USER}
    if "kafka-1" in ports:
        written["kafka_bootstrap"] = ",".join(f"127.0.0.1:{ports[node]}" for node in CLUSTERS["kafka"])
    if "cassandra-1" in ports:
        shared = ports["cassandra-1"]
        written["cassandra_hosts"] = ",".join(f"{host_of(node)}:{shared}" for node in CLUSTERS["cassandra"])
    if "redis-1" in ports:
        nodes = ",".join(f"127.0.0.1:{ports[node]}" for node in CLUSTERS["redis"])
        written["redis_url"] = f"redis+cluster://{nodes}"
    if "kafka-1" in ports or "cassandra-1" in ports:
        written["replication_factor"] = REPLICAS
    if "api" in ports:
        written["api_port"] = ports["api"]
    return written


def require_free(service: str, purpose: str, port: int) -> None:
    """Raise ``PortTaken``, saying what helps, where something listens on ``port``."""
    if is_free(port):
        return
    what = service if purpose == service else f"{service}, {purpose.removeprefix(service + '_')}"
    raise PortTaken(
        f"port {port} ({what}) is taken by another program. Stop that program, name an address of your own with "
        f"{ENVIRONMENT[service_of(service)]}=..., or let Shutterlog pick its ports: shutterlog up --free-ports"
    )


def draw(known: Collection[int]) -> int:
    """A free port that is none of ``known``. Raises ``PortTaken``."""
    for _ in range(1000):
        port = random.choice(FREE_RANGE)  # noqa: S311 - a port is not a secret
        if port not in known and is_free(port):
            return port
    raise PortTaken(f"no free port found between {FREE_RANGE.start} and {FREE_RANGE.stop}")
