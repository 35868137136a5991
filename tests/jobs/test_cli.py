"""The command line: what it prints and with which exit code it ends."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.services import addresses
from jobs.services.home import Home
from jobs.services.stack import Stack


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for variable in addresses.ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SHUTTERLOG_HOME", str(tmp_path / "home"))
    return Home.at(tmp_path / "home")


def test_status_of_nothing_is_unhealthy_json_and_makes_nothing(home: Home) -> None:
    result = CliRunner().invoke(app, ["status", "--json"])

    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["healthy"] is False
    assert set(report["services"]) == {"kafka", "cassandra", "redis", "clickhouse", "object_store"}
    assert not home.root.exists()


def test_a_dry_run_changes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:9092")

    result = CliRunner().invoke(app, ["up", "--dry-run", "--free-ports"])

    assert result.exit_code == 0
    assert "would use kafka at broker:9092" in result.stdout
    assert "would start redis on free ports" in result.stdout
    assert "home_feed-1" in result.stdout
    assert not home.root.exists()


def test_up_says_which_port_is_taken_and_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        monkeypatch.setitem(addresses.PORTS, "kafka", {"kafka": port})

        result = CliRunner().invoke(app, ["up", "--services-only"])

    assert result.exit_code == 1
    assert f"port {port} (kafka) is taken" in result.stderr
    assert "shutterlog up --free-ports" in result.stderr


def test_up_uses_named_services_status_is_healthy_and_down_stops_the_rest(
    home: Home, kafka_bootstrap: str, cassandra_hosts: str, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_url)
    monkeypatch.setenv("CASSANDRA_HOSTS", cassandra_hosts)
    runner = CliRunner()
    try:
        started = runner.invoke(app, ["up", "--services-only", "--free-ports"])
        assert started.exit_code == 0, started.output
        status = runner.invoke(app, ["status", "--json"])
        assert status.exit_code == 0, status.output
        report = json.loads(status.stdout)
        states = {name: service["state"] for name, service in report["services"].items()}
        external = dict.fromkeys(("kafka", "cassandra", "clickhouse"), "external")
        assert states == {**external, "redis": "running", "object_store": "folder"}
        assert report["healthy"] is True
        assert "ok  redis" in runner.invoke(app, ["status"]).stdout
        assert "would stop redis" in runner.invoke(app, ["down", "--dry-run"]).stdout

        stopped = runner.invoke(app, ["down"])

        assert stopped.exit_code == 0
        assert "stopped 2 program(s)" in stopped.stdout
    finally:
        assert Stack(home, {}).stop() == {}
    assert "nothing was running" in runner.invoke(app, ["down"]).stdout
