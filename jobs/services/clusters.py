"""Services of several nodes each: which nodes there are, how each is started, and how it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from jobs.services import cassandra, cassandra_cluster, kafka, probes, redis_cluster
from jobs.services.addresses import CLUSTERS, ENVIRONMENT, SERVICES, host_of, service_of
from jobs.services.failures import StackError
from jobs.services.home import Home
from jobs.services.programs import Program


def node_names(services: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """The nodes of ``services``; a service that is never a cluster, or that ``environment`` names, as it is."""
    found: list[str] = []
    for service in services:
        is_local = not environment.get(ENVIRONMENT[service])
        found += CLUSTERS.get(service, (service,)) if is_local else (service,)
    return found


def shown(programs: Collection[str]) -> list[str]:
    """Each service, by its nodes where these are among ``programs``."""
    found: list[str] = []
    for service in SERVICES:
        found += [node for node in CLUSTERS.get(service, ()) if node in programs] or [service]
    return found


def refuse_another_kind(home: Home, names: Iterable[str]) -> None:
    """Raise ``StackError`` where ``home`` has data of the single service whose nodes ``names`` has, or the reverse."""
    for name in names:
        service = service_of(name)
        others = [service] if name != service else CLUSTERS.get(name, ())
        found = next((other for other in others if (home.data / other).exists()), None)
        if found:
            raise StackError(
                f"{home.root} has the data of {found}, and cannot have {name} beside it: a home is of single services "
                "or of clusters. Name another one with SHUTTERLOG_HOME=..."
            )


def prepare(home: Home, name: str, ports: Mapping[str, int]) -> Program:
    """Write the configuration of the node ``name`` and say how to start it."""
    service = service_of(name)
    number, nodes = int(name.rpartition("-")[2]), CLUSTERS[service]
    if service == "kafka":
        return kafka.node_program(home, number, ports[name], [ports[f"{node}_controller"] for node in nodes])
    if service == "cassandra":
        hosts = [host_of(node) for node in nodes]
        return cassandra.node_program(home, number, hosts, ports["cassandra-1"], ports["cassandra-1_storage"])
    return redis_cluster.program(home, name, ports[name], ports[f"{name}_bus"])


def probe(name: str, ports: Mapping[str, int]) -> tuple[Callable[[], str], str]:
    """How to ask the node ``name`` itself, and its address."""
    service = service_of(name)
    address = f"{host_of(name)}:{ports.get('cassandra-1' if service == 'cassandra' else name, 0)}"
    if service == "kafka":
        return lambda: probes.kafka(address), address
    if service == "cassandra":
        return lambda: probes.cassandra(address), address
    return lambda: probes.redis_server(f"redis://{address}"), address


def form(names: Collection[str], ports: Mapping[str, int]) -> None:
    """Make one cluster of each service's nodes among ``names``, which run. Blocks. Raises ``NeverHealthy``."""
    if "redis-1" in names:
        redis_cluster.form([(ports[node], ports[f"{node}_bus"]) for node in CLUSTERS["redis"]])
    if "cassandra-1" in names:
        cassandra_cluster.form([(host_of(node), ports["cassandra-1"]) for node in CLUSTERS["cassandra"]])
