"""TLS and credentials of the stores: which settings can work, and what each driver is told.

Nothing here says a key: neither in an error nor in what may be shown.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from sinks.settings import Settings

RECONNECT_MS = 2000
"""Between two tries to reach a broker that is away, at most. librdkafka's own 10 s would be added to its absence."""

_HANDED_ON = (
    *("stores_ca", "redis_url", "cassandra_hosts", "cassandra_tls", "cassandra_user", "cassandra_key"),
    *("kafka_bootstrap", "kafka_security", "kafka_mechanism", "kafka_user", "kafka_key"),
)


def require_workable(settings: Settings) -> None:
    """Raise ``ValueError``, which says what to do, for settings that no store can be reached with."""
    if settings.stores_ca is not None:
        _require_ca(settings.stores_ca)
    sends_user = settings.kafka_security.startswith("sasl_")
    if sends_user and not (settings.kafka_user and settings.kafka_key):
        missing = " and ".join(
            name
            for name, value in (("KAFKA_USER", settings.kafka_user), ("KAFKA_KEY", settings.kafka_key))
            if not value
        )
        raise ValueError(
            f"KAFKA_SECURITY={settings.kafka_security} needs a user and a key: set {missing}, or name a security "
            "without SASL (plaintext, ssl)"
        )
    if settings.kafka_user and not sends_user:
        raise ValueError(
            f"KAFKA_USER is set, and KAFKA_SECURITY={settings.kafka_security} tells Kafka of no user: set "
            "KAFKA_SECURITY to sasl_ssl (or sasl_plaintext), or unset KAFKA_USER"
        )
    if settings.cassandra_user and not settings.cassandra_key:
        raise ValueError("CASSANDRA_USER is set without its key: set CASSANDRA_KEY, or unset CASSANDRA_USER")


def _require_ca(path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ValueError(
            f"STORES_CA names {path}, which holds no certificate in PEM: name the CA's own file"
        ) from error
    except OSError as error:
        raise ValueError(
            f"STORES_CA names {path}, which cannot be read ({error.strerror}): name the file of the CA that signed the "
            "stores' certificates, or unset it where the system knows that CA"
        ) from error


def trusting(ca: Path | None) -> ssl.SSLContext:
    """What a client of a store trusts: ``ca`` alone, or the system's CAs without one. Names are checked."""
    return ssl.create_default_context(cafile=ca)


def kafka_client(settings: Settings) -> dict[str, Any]:
    """What every client of confluent-kafka begins with."""
    told: dict[str, Any] = {"bootstrap.servers": settings.kafka_bootstrap, "reconnect.backoff.max.ms": RECONNECT_MS}
    security = settings.kafka_security
    if security != "plaintext":
        told["security.protocol"] = security
    if security.endswith("ssl") and settings.stores_ca is not None:
        told["ssl.ca.location"] = str(settings.stores_ca)
    if security.startswith("sasl_"):
        told |= {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_user,
            "sasl.password": settings.kafka_key,
        }
    return told


def variables(settings: Settings) -> dict[str, str]:
    """What is set of Kafka, Redis and Cassandra, as environment variables."""
    return {name.upper(): str(value) for name in _HANDED_ON if (value := getattr(settings, name))}


def with_ca(redis_url: str, ca: Path | None) -> str:
    """``redis_url`` so that each client made of it, of one Redis or of a cluster's nodes, trusts ``ca``."""
    parts = urlsplit(redis_url)
    if ca is None or not parts.scheme.startswith("rediss") or "ssl_ca_certs=" in parts.query:
        return redis_url
    own = f"ssl_ca_certs={quote(str(ca))}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{own}" if parts.query else own))


def without_key(url: str) -> str:
    """``url`` as it may be shown: without user, key and options."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
