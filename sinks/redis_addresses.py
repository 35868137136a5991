"""Where the nodes of a Redis Cluster are, and which slots they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

SLOTS = 16384
_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_cluster(url: str) -> bool:
    """Whether ``url`` names a cluster."""
    return url.partition("://")[0] in _SCHEMES


def nodes_of(url: str) -> list[str]:
    """The URL of each node that a cluster's ``url`` names. Raises ``ValueError``."""
    parts = urlsplit(url)
    credentials, at, hosts = parts.netloc.rpartition("@")
    if not all(host.rpartition(":")[2].isdigit() for host in hosts.split(",")):
        raise ValueError(f"a cluster's URL is redis+cluster://host:port,host:port, and not {parts.scheme}://{hosts}")
    if parts.path not in ("", "/", "/0"):
        raise ValueError(f"a Redis Cluster has the database 0 alone, and not {parts.path[1:]}")
    query = f"?{parts.query}" if parts.query else ""
    return [f"{_SCHEMES[parts.scheme]}://{credentials}{at}{host}/0{query}" for host in hosts.split(",")]


def owners_in(reply: Sequence[Sequence[Any]], asked: Address) -> list[Address | None]:
    """What ``CLUSTER SLOTS`` says, by slot. A node that does not know its own host says so of itself alone."""
    owners: list[Address | None] = [None] * SLOTS
    for first, last, master, *_ in reply:
        host = (master[0] or b"").decode()
        owners[first : last + 1] = [Address(host if host not in ("", "?") else asked.host, master[1])] * (
            last + 1 - first
        )
    return owners
