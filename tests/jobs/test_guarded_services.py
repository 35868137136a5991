"""A guarded home: what each service is told, its certificates and keys, and that a plain home is as it always was."""

from __future__ import annotations

import hashlib
import json
import ssl
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from jobs import cli
from jobs.services import addresses, cassandra, certificates, clickhouse, guard, kafka, probes, redis
from jobs.services.clickhouse_engine import Engine, Failed
from jobs.services.clickhouse_front import Front
from jobs.services.failures import StackError
from jobs.services.guard import USER, Guard
from jobs.services.home import Home, read_json
from sinks.settings import Settings
from sinks.store_security import trusting
from tests.jobs.cql_server import serving

FOLDER = Path("/d")
GUARD = Guard(Path("/tls/ca.pem"), Path("/tls/own.pem"), "hidden")
PORTS = {"kafka": 1, "cassandra": 2, "redis": 3, "clickhouse": 4, "api": 5}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    made = Home.at(tmp_path)
    made.create()
    made.ensure_secrets()
    return made


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- a plain home -----------------------------------------------------------------------------------------------------


def test_without_a_guard_every_configuration_is_as_before_there_were_any() -> None:
    """Digests of what was written before; a change that is meant to be gets new ones."""
    broker = kafka.properties(FOLDER, 1111, 2222)
    node = cassandra.configuration(FOLDER, 1111, 2222)

    assert digest(kafka.render(broker)) == "856fc7b2154ce6ab"
    assert digest(kafka.render(kafka.clustered(broker, 2, [1, 2, 3]))) == "c832d97429751854"
    assert digest(kafka.render(kafka.linked(broker, kafka.Link(5, 6)))) == "da344b48af3b1034"
    assert digest(redis.configuration(FOLDER, 1111)) == "cf18ab4f05290b21"
    assert digest(json.dumps(node, indent=2)) == "03ba2648d6fb03dc"
    assert digest(json.dumps(cassandra.clustered(node, 2, ["a", "b", "c"]), indent=2)) == "ffff55233355cc43"


def test_a_plain_home_has_no_certificates_and_plain_addresses(home: Home) -> None:
    assert not guard.is_to_be(home, None, running=False, several=True, environment={"STORES_CA": "x"})
    guard.choose(home, False)

    assert not home.certificates.exists()
    assert "kafka_key" not in read_json(home.secrets_file)
    assert addresses.fields(PORTS) == {
        "kafka_bootstrap": "127.0.0.1:1",
        "cassandra_hosts": "127.0.0.1:2",
        "redis_url": "redis://127.0.0.1:3/0",
        "clickhouse_url": "http://127.0.0.1:4",
        "api_port": 5,
    }
    assert "--certificate" not in clickhouse.program(home, 4).command


# -- what each service is told ----------------------------------------------------------------------------------------


def test_kafka_has_no_listener_in_clear() -> None:
    values = kafka.guarded(kafka.properties(FOLDER, 1111, 2222), GUARD)

    assert values["listeners"] == "SASL_SSL://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
    assert values["advertised.listeners"] == "SASL_SSL://127.0.0.1:1111"
    assert values["listener.security.protocol.map"] == "SASL_SSL:SASL_SSL,CONTROLLER:SASL_SSL"
    assert values["inter.broker.listener.name"] == "SASL_SSL"
    for listener in ("sasl_ssl", "controller"):
        login = values[f"listener.name.{listener}.plain.sasl.jaas.config"]
        assert f'username="{USER}" password="hidden" user_{USER}="hidden";' in login
    assert "PLAINTEXT" not in kafka.render(values)


def test_redis_has_no_plain_port_and_its_file_has_no_key() -> None:
    text = redis.configuration(FOLDER, 0) + redis.guarded_configuration(1111, GUARD)

    lines = text.splitlines()
    assert {"port 0", "tls-port 1111", "user default off", 'tls-cert-file "/tls/own.pem"'} <= set(lines)
    assert f"user {USER} on #{hashlib.sha256(b'hidden').hexdigest()} ~* &* +@all" in lines
    assert "hidden" not in text


def test_cassandra_asks_for_tls_and_a_user() -> None:
    plain = cassandra.configuration(FOLDER, 1111, 2222)
    values = cassandra.guarded(plain, Path("/k.p12"), Path("/t.p12"), "opens")

    assert values["authenticator"] == "PasswordAuthenticator"
    clients, nodes = values["client_encryption_options"], values["server_encryption_options"]
    assert (clients["enabled"], clients["optional"], clients["keystore"]) == (True, False, "/k.p12")
    assert (nodes["internode_encryption"], nodes["require_client_auth"]) == ("all", True)
    assert {name: values[name] for name in plain if name != "authenticator"} == {
        name: value for name, value in plain.items() if name != "authenticator"
    }


def test_the_front_of_a_guarded_clickhouse_answers_the_writer_alone(home: Home) -> None:
    guarded = Front(cast(Engine, None), "key", anybody_reads=False)
    plain = Front(cast(Engine, None), "key")

    assert guarded._may_write({"x-clickhouse-user": "writer", "x-clickhouse-key": "key"}, {})
    for headers in ({}, {"x-clickhouse-user": "writer"}, {"x-clickhouse-user": "nora", "x-clickhouse-key": "key"}):
        with pytest.raises(Failed, match="516"):
            guarded._may_write(headers, {})
    assert not plain._may_write({}, {})
    command = clickhouse.program(home, 4, GUARD).command
    assert command[-2:] == ["--certificate", "/tls/own.pem"]


# -- certificates and keys --------------------------------------------------------------------------------------------


def shaken(server: Path, client: ssl.SSLContext, name: str) -> None:
    """A handshake in memory; raises ``ssl.SSLError``."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = serving.wrap_bio(to_server, to_client, server_side=True)
    open_ends = [ours, theirs]
    for _ in range(10):
        for end in list(open_ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            open_ends.remove(end)
    assert not open_ends


def test_each_service_is_believed_by_this_homes_ca_and_at_its_own_address_alone(home: Home, tmp_path: Path) -> None:
    guard.ensure(home)
    certificates.ensure(tmp_path / "others", ["kafka"])
    ours, theirs = trusting(home.certificates / "ca.pem"), trusting(tmp_path / "others" / "ca.pem")

    for service in addresses.SERVICES:
        for name in ("127.0.0.1", "localhost"):
            shaken(home.certificates / f"{service}.pem", ours, name)
    own = home.certificates / "kafka.pem"
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        shaken(own, ours, "127.0.0.2")
    for stranger in (theirs, ssl.create_default_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            shaken(own, stranger, "127.0.0.1")


def test_certificates_and_keys_are_made_once_for_their_owner_alone(home: Home) -> None:
    guard.ensure(home)
    made = {path.name: path.read_bytes() for path in home.certificates.iterdir()}
    held = read_json(home.secrets_file)

    guard.ensure(home)

    assert made == {path.name: path.read_bytes() for path in home.certificates.iterdir()}
    assert made.keys() == {"ca.pem", "ca.key.pem", *(f"{service}.pem" for service in addresses.SERVICES)}
    assert held == read_json(home.secrets_file)
    keys = [held[name] for name in ("kafka_key", "cassandra_key", "redis_key", "clickhouse_key")]
    assert len(set(keys)) == 4
    assert min(map(len, keys)) >= 32
    for path in (*home.certificates.iterdir(), home.secrets_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.certificates.stat().st_mode) == 0o700


def test_what_ends_soon_or_is_of_another_ca_is_made_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> dict[str, bytes]:
        certificates.ensure(home.certificates, ["kafka"])
        return {path.stem: path.read_bytes() for path in home.certificates.iterdir()}

    first = made()
    monkeypatch.setattr(certificates, "LEFT", certificates.LIFE + timedelta(days=1))
    second = made()
    assert (second["ca"], second["kafka"] != first["kafka"]) == (first["ca"], True)
    monkeypatch.undo()
    (home.certificates / "ca.pem").unlink()
    third = made()
    assert third["ca"] != second["ca"]
    shaken(home.certificates / "kafka.pem", trusting(home.certificates / "ca.pem"), "localhost")


def test_java_is_given_the_same_key_and_ca(home: Home) -> None:
    guard.ensure(home)
    own, ca = home.certificates / "cassandra.pem", home.certificates / "ca.pem"

    keys, trusted = (pkcs12.load_pkcs12(store, b"opens") for store in certificates.java_stores(own, ca, "opens"))

    assert keys.key is not None and keys.cert is not None
    assert keys.key.public_key() == keys.cert.certificate.public_key()
    assert [one.certificate for one in keys.additional_certs] == [one.certificate for one in trusted.additional_certs]


# -- whether, and what programs are told ------------------------------------------------------------------------------


def test_a_home_stays_guarded_until_it_is_told_otherwise(home: Home) -> None:
    def is_to_be(wished: bool | None, running: bool = False) -> bool:
        return guard.is_to_be(home, wished, running=running, several=False, environment={})

    assert (is_to_be(None), is_to_be(True), is_to_be(False)) == (False, True, False)
    guard.choose(home, True)
    assert (is_to_be(None), is_to_be(None, running=True), is_to_be(False)) == (True, True, False)
    with pytest.raises(StackError, match="with TLS: `shutterlog down` first"):
        is_to_be(False, running=True)
    guard.choose(home, False)
    assert not is_to_be(None)
    with pytest.raises(StackError, match="without TLS: `shutterlog down` first"):
        is_to_be(True, running=True)


@pytest.mark.parametrize(
    ("several", "environment", "says"),
    [
        (True, {}, "leave out --clusters"),
        (False, {"KAFKA_BOOTSTRAP": "broker:9092", "STORES_CA": "/ca", "REDIS_URL": ""}, "KAFKA_BOOTSTRAP, STORES_CA:"),
        (False, {"KAFKA_KEY": "hidden"}, "KAFKA_KEY: unset that"),
    ],
)
def test_what_cannot_be_guarded_is_refused(home: Home, several: bool, environment: dict[str, str], says: str) -> None:
    with pytest.raises(StackError, match=says) as caught:
        guard.is_to_be(home, True, running=False, several=several, environment=environment)
    assert "hidden" not in str(caught.value)


def test_settings_of_a_guarded_home_speak_with_its_services(home: Home) -> None:
    guard.choose(home, True)
    written = guard.fields(home, addresses.fields(PORTS))
    assert written.keys() <= Settings.model_fields.keys()
    home.addresses_file.write_text(json.dumps(written))
    held = read_json(home.secrets_file)

    settings = Settings(shutterlog_home=home.root)

    assert settings.kafka_client == {
        "bootstrap.servers": "127.0.0.1:1",
        "reconnect.backoff.max.ms": 2000,
        "security.protocol": "sasl_ssl",
        "ssl.ca.location": str(home.certificates / "ca.pem"),
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": held["kafka_key"],
    }
    assert (settings.cassandra_tls, settings.cassandra_user) == (True, USER)
    assert settings.cassandra_key == held["cassandra_key"]
    assert settings.redis_url.startswith(f"rediss://{USER}:{held['redis_key']}@127.0.0.1:3/0?ssl_ca_certs=")
    assert settings.clickhouse_url == "https://127.0.0.1:4"


def test_a_command_says_which_setting_cannot_work(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"SHUTTERLOG_HOME": str(home.root), "KAFKA_SECURITY": "sasl_ssl", "KAFKA_KEY": "hidden"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["shutterlog", "status"])

    with pytest.raises(SystemExit) as caught:
        cli.main()

    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert said.startswith("shutterlog: KAFKA_SECURITY=sasl_ssl needs a user and a key: set KAFKA_USER,")
    assert "hidden" not in said


# -- Cassandra's first user -------------------------------------------------------------------------------------------


def test_cassandras_first_user_gives_way_to_ours_and_others_are_refused(home: Home) -> None:
    guard.choose(home, True)
    with serving({"cassandra": "cassandra"}, home.certificates / "cassandra.pem") as server:
        home.addresses_file.write_text(json.dumps(guard.fields(home, addresses.fields({"cassandra": server.port}))))
        settings = Settings(shutterlog_home=home.root)

        def asked(**given: Any) -> tuple[bool, str]:
            probe, _ = probes.of("cassandra", settings.model_copy(update=given), home.media)
            assert probe is not None
            return probes.finding(probe)

        assert probes.finding(lambda: probes.new_cassandra(settings)) == (False, f"the user {USER} was just made")
        assert server.roles.keys() == {"cassandra", USER}
        assert probes.finding(lambda: probes.new_cassandra(settings)) == (True, "answers CQL")
        assert server.roles == {USER: settings.cassandra_key}
        assert asked() == (True, "answers CQL")
        assert asked(cassandra_user="") == (True, "answers, and asks for credentials")
        well, said = asked(cassandra_key="wrong")
        assert (well, f"refuses the user {USER}" in said, "wrong" in said) == (False, True, False)
        assert "CERTIFICATE_VERIFY_FAILED" in asked(stores_ca=None)[1]
        assert not asked(cassandra_tls=False)[0]
