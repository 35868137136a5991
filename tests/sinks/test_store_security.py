"""TLS and credentials of the stores: what is refused, what each driver is told, and that nothing says a key."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis.asyncio.connection import SSLConnection

from jobs.services import certificates
from sinks import cassandra_driver, clickhouse
from sinks.redis import AWAY, connect
from sinks.redis_addresses import nodes_of
from sinks.settings import Settings
from sinks.store_security import with_ca, without_key

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"kafka_key": "hidden-1", "cassandra_key": "hidden-2", "clickhouse_key": "hidden-3", "jwt_secret": "hidden-4"}
IN_CLEAR = {"bootstrap.servers": "127.0.0.1:9092", "reconnect.backoff.max.ms": 2000}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    certificates.ensure(tmp_path / "tls", [])
    return tmp_path / "tls" / "ca.pem"


def settings_of(home: Path, **given: Any) -> Settings:
    return Settings(shutterlog_home=home, **given)


def test_without_the_settings_every_client_is_told_what_it_always_was(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, **KEYS)

    assert settings.kafka_client == IN_CLEAR
    assert cassandra_driver.guarded(settings) == {}
    assert clickhouse.guarded(settings) == {}
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert "ssl_context" not in connect(settings.redis_url).connection_pool.connection_kwargs


def test_a_ca_alone_changes_nothing_for_stores_in_clear(tmp_path: Path, ca: Path) -> None:
    settings = settings_of(tmp_path, stores_ca=ca)

    assert settings.kafka_client == IN_CLEAR
    assert cassandra_driver.guarded(settings) == {}
    assert clickhouse.guarded(settings) == {}
    assert settings.redis_url == "redis://127.0.0.1:6379/0"


def test_kafka_is_told_of_tls_and_of_the_user(tmp_path: Path, ca: Path) -> None:
    login = {"kafka_user": "nora", "kafka_key": "hidden-1"}
    told = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "nora", "sasl.password": "hidden-1"}

    both = settings_of(tmp_path, stores_ca=ca, kafka_security="sasl_ssl", **login)
    assert both.kafka_client == {
        **IN_CLEAR,
        "security.protocol": "sasl_ssl",
        "ssl.ca.location": str(ca),
        **told,
    }
    plain = settings_of(tmp_path, stores_ca=ca, kafka_security="sasl_plaintext", kafka_mechanism="PLAIN", **login)
    assert plain.kafka_client == {
        **IN_CLEAR,
        "security.protocol": "sasl_plaintext",
        **told,
        "sasl.mechanism": "PLAIN",
    }
    alone = settings_of(tmp_path, kafka_security="ssl")
    assert alone.kafka_client == {**IN_CLEAR, "security.protocol": "ssl"}


def test_cassandra_checks_names_and_trusts_the_ca_alone(tmp_path: Path, ca: Path) -> None:
    told = cassandra_driver.guarded(
        settings_of(tmp_path, stores_ca=ca, cassandra_tls=True, cassandra_user="nora", cassandra_key="hidden-2")
    )

    context = told["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    assert (told["auth_provider"].username, told["auth_provider"].password) == ("nora", "hidden-2")


def test_clickhouse_trusts_the_ca(tmp_path: Path, ca: Path) -> None:
    assert clickhouse.guarded(settings_of(tmp_path, stores_ca=ca, clickhouse_url="https://c:8443")) == {
        "ca_cert": str(ca)
    }
    assert clickhouse.guarded(settings_of(tmp_path, clickhouse_url="https://c:8443")) == {}


def test_redis_and_each_node_of_a_cluster_trust_the_ca_and_check_names(tmp_path: Path, ca: Path) -> None:
    one = settings_of(tmp_path, stores_ca=ca, redis_url="rediss://nora:hidden@r:6380/3").redis_url
    several = settings_of(tmp_path, stores_ca=ca, redis_url="rediss+cluster://nora:hidden@r:1,r:2").redis_url

    for url in (one, *nodes_of(several)):
        pool = connect(url).connection_pool
        assert issubclass(pool.connection_class, SSLConnection)
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        assert connection.ssl_context.ca_certs == str(ca)
        assert connection.ssl_context.check_hostname
        assert connection.username == "nora"
    assert pool.connection_kwargs["db"] == 0
    assert connect(one).connection_pool.connection_kwargs["db"] == 3


async def test_redis_hears_user_and_key_from_who_trusts_it_and_nothing_from_others(tmp_path: Path, ca: Path) -> None:
    certificates.ensure(ca.parent, ["redis"])
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(ca.parent / "redis.pem")
    heard = b""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while said := await reader.read(4096):
            heard += said
            # Each command is an array of words.
            writer.write(b"+OK\r\n" * len(re.findall(rb"\*\d+\r\n", said)))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for stores_ca in (None, ca):
            settings = settings_of(tmp_path, stores_ca=stores_ca, redis_url=f"rediss://nora:hidden@{place}/0")
            async with connect(settings.redis_url, seconds=5) as client:
                if stores_ca is None:
                    with pytest.raises(AWAY, match="CERTIFICATE_VERIFY_FAILED"):
                        await client.ping()
                    assert heard == b""
                else:
                    await client.ping()
                    assert b"AUTH\r\n$4\r\nnora\r\n$6\r\nhidden\r\n" in heard


def test_a_url_of_redis_names_its_ca_once_however_its_path_is_written() -> None:
    odd = Path("/a b/50%&c.pem")
    url = with_ca("rediss://r/0?protocol=2", odd)

    assert connect(url).connection_pool.connection_kwargs["ssl_ca_certs"] == str(odd)
    assert with_ca(url, Path("/other.pem")) == url
    assert with_ca("redis://r/0", odd) == "redis://r/0"
    assert with_ca("rediss://r/0", None) == "rediss://r/0"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kafka_security": "sasl_ssl"}, "set KAFKA_USER and KAFKA_KEY"),
        ({"kafka_security": "sasl_ssl", "kafka_user": "nora"}, "set KAFKA_KEY,"),
        ({"kafka_security": "sasl_plaintext", "kafka_key": "hidden-1"}, "set KAFKA_USER,"),
        ({"kafka_user": "nora", "kafka_key": "hidden-1"}, "set KAFKA_SECURITY to sasl_ssl"),
        ({"kafka_security": "ssl", "kafka_user": "nora", "kafka_key": "hidden-1"}, "or unset KAFKA_USER"),
        ({"kafka_security": "tls", "kafka_key": "hidden-1"}, "kafka_security"),
        ({"cassandra_user": "nora"}, "set CASSANDRA_KEY"),
        ({"stores_ca": "/nowhere/ca.pem"}, "STORES_CA names /nowhere/ca.pem, which cannot be read"),
        ({"stores_ca": __file__, "redis_url": "rediss://nora:hidden-5@r"}, "holds no certificate"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_do_and_without_a_key(
    tmp_path: Path, given: dict[str, str], says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_of(tmp_path, clickhouse_key="hidden-3", **given)

    assert says in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_settings_are_shown_without_keys(tmp_path: Path) -> None:
    urls = {"redis_url": "redis://nora:hidden-5@r/0", "clickhouse_url": "http://writer:hidden-6@c"}

    assert "hidden" not in repr(settings_of(tmp_path, smtp_url="smtp://m:hidden-7@h", **urls, **KEYS))
    assert without_key("rediss://nora:hidden@r:1/0?ssl_ca_certs=/ca.pem") == "rediss://r:1/0"
    assert without_key("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:6379/0"


def test_another_process_is_handed_all_of_it(tmp_path: Path, ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        **{"stores_ca": ca, "kafka_security": "sasl_ssl", "kafka_user": "nora", "cassandra_user": "nora"},
        **{"cassandra_tls": True, "redis_url": "rediss://nora:hidden@r/0", **KEYS},
    }
    settings = settings_of(tmp_path, **given)
    for name, value in settings.store_variables.items():
        monkeypatch.setenv(name, value)

    handed = settings_of(tmp_path)

    assert handed.kafka_client == settings.kafka_client
    assert handed.redis_url == settings.redis_url
    assert cassandra_driver.guarded(handed).keys() == {"ssl_context", "auth_provider"}


def test_each_kind_of_client_is_made_in_one_place() -> None:
    """Whoever makes one beside it would speak in clear."""
    places = {
        r'"bootstrap\.servers"': {"sinks/store_security.py", "jobs/services/probes.py"},
        r"(?<!\w)Cluster\(": {"sinks/cassandra_driver.py"},
        r"clickhouse_connect\.get_client": {"sinks/clickhouse.py"},
        # What connects by a URL trusts whom the URL names.
        r"redis\.Redis\(": {"jobs/services/redis_cluster.py"},
    }
    files = [path for room in ("agents", "api", "jobs", "sinks") for path in (ROOT / room).rglob("*.py")]
    for pattern, expected in places.items():
        found = {str(path.relative_to(ROOT)) for path in files if re.search(pattern, path.read_text())}
        assert found == expected, pattern
