"""A guarded home: its services speak TLS and nothing else, and answer one user, who has a key of their own for each."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.services import certificates
from jobs.services.addresses import ENVIRONMENT, SERVICES
from jobs.services.failures import StackError
from jobs.services.home import Home, read_json, write_json

USER = "shutterlog"
_KEYS = ("kafka_key", "cassandra_key", "redis_key")
"""Names of the keys in the home's secrets; ClickHouse's is there in every home."""
_VARIABLES = (
    *("STORES_CA", "KAFKA_SECURITY", "KAFKA_MECHANISM", "KAFKA_USER", "KAFKA_KEY"),
    *("CASSANDRA_TLS", "CASSANDRA_USER", "CASSANDRA_KEY", "CLICKHOUSE_USER", "CLICKHOUSE_KEY"),
)
"""What such a home sets itself; in the environment it would stand in the way."""


@dataclass(frozen=True)
class Guard:
    """What one service is guarded with."""

    ca: Path
    """The CA's certificate."""
    pem: Path
    """The service's key and certificate."""
    key: str
    """Of ``USER``."""


def guard_of(home: Home, service: str) -> Guard:
    """The guard of ``service``; ``ensure`` has made it."""
    key = read_json(home.secrets_file)[f"{service}_key"]
    return Guard(home.certificates / "ca.pem", home.certificates / f"{service}.pem", key)


def ensure(home: Home) -> None:
    """Make what ``home`` lacks of certificates and keys; what it has stays as it is."""
    certificates.ensure(home.certificates, SERVICES)
    held = read_json(home.secrets_file)
    lacking = {name: secrets.token_urlsafe(32) for name in _KEYS if name not in held}
    if lacking:
        write_json(home.secrets_file, held | lacking, mode=0o600)


def is_guarded(home: Home) -> bool:
    """Whether it is now, or was when it last ran."""
    return bool(read_json(home.run / "stack.json").get("guarded"))


def choose(home: Home, guarded: bool) -> None:
    """Note that ``home`` is to be ``guarded``, or is not, and make what that takes."""
    if guarded:
        ensure(home)
    write_json(home.run / "stack.json", {**read_json(home.run / "stack.json"), "guarded": guarded}, mode=0o600)


def is_to_be(home: Home, wished: bool | None, *, running: bool, several: bool, environment: Mapping[str, str]) -> bool:
    """Whether ``home`` is to be guarded: as ``wished``, else as it was when it last ran.

    Raises ``StackError`` where it is ``running`` the other way, is of ``several`` nodes a service or with a second way
    to Kafka, or where ``environment`` names a store or how to speak with one.
    """
    was = is_guarded(home)
    guarded = was if wished is None else wished
    if running and guarded != was:
        raise StackError(f"its services run {'with' if was else 'without'} TLS: `shutterlog down` first")
    if not guarded:
        return False
    if several:
        raise StackError("--tls is of single services, reached directly: leave out --clusters, or say --no-tls")
    named = [name for name in (*(ENVIRONMENT[service] for service in SERVICES), *_VARIABLES) if environment.get(name)]
    if named:
        raise StackError(
            f"with --tls all stores are the home's own, with users and keys that it makes, and the environment has "
            f"{', '.join(named)}: unset that, or say --no-tls"
        )
    return True


def fields(home: Home, plain: Mapping[str, str | int]) -> dict[str, str | int]:
    """``plain``, the addresses of services without a guard, as those with one are reached; fields of Settings."""
    written = {**plain, "stores_ca": str(home.certificates / "ca.pem")}
    if "kafka_bootstrap" in plain:
        written |= {"kafka_security": "sasl_ssl", "kafka_mechanism": "PLAIN", "kafka_user": USER}
    if "cassandra_hosts" in plain:
        written |= {"cassandra_tls": True, "cassandra_user": USER}
    if "redis_url" in plain:
        login = f"rediss://{USER}:{guard_of(home, 'redis').key}@"
        written["redis_url"] = str(plain["redis_url"]).replace("redis://", login)
    if "clickhouse_url" in plain:
        written["clickhouse_url"] = str(plain["clickhouse_url"]).replace("http://", "https://")
    return written
