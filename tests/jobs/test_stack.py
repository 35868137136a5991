"""The stack on real programs: it starts, heals, reports, keeps its data, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs.services import addresses, pids
from jobs.services.failures import NeverHealthy, PortTaken
from jobs.services.home import Home, read_json
from jobs.services.stack import Stack, to_json
from sinks.settings import Settings

DEADLINE = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.05)


def client_of(home: Home) -> redis.Redis:
    return redis.Redis.from_url(read_json(home.addresses_file)["redis_url"])


def pid_of(stack: Stack, name: str) -> int:
    pid = stack.supervisor.states()[name].pid
    assert pid is not None
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    made = Stack(Home.at(tmp_path / "home"), {})
    yield made
    assert made.stop() == {}
    assert made.running() == {}


@pytest.fixture
def redis_stack(stack: Stack) -> Stack:
    stack.start_services(["redis"], free_ports=True)
    return stack


def test_down_leaves_nothing_and_keeps_the_data(redis_stack: Stack) -> None:
    with client_of(redis_stack.home) as client:
        client.set("kept", "1")
    running = redis_stack.running()
    assert set(running.values()) == {"supervisord", "redis"}

    assert redis_stack.stop() == {}

    assert not any(pids.is_alive(pid) for pid in running)
    assert not redis_stack.home.addresses_file.exists()
    redis_stack.start_services(["redis"], free_ports=True)
    with client_of(redis_stack.home) as client:
        assert client.get("kept") == b"1"


def test_down_ends_what_a_killed_supervisor_left(redis_stack: Stack) -> None:
    supervisord, server = redis_stack.supervisor.pid, pid_of(redis_stack, "redis")
    assert supervisord is not None
    end(supervisord)
    until(lambda: not pids.is_alive(supervisord))
    assert redis_stack.running() == {server: "redis"}

    assert redis_stack.stop() == {}

    assert not pids.is_alive(server)


def test_a_program_restarted_since_it_was_recorded_is_found_without_its_supervisor(redis_stack: Stack) -> None:
    first = pid_of(redis_stack, "redis")
    end(first)
    until(lambda: redis_stack.supervisor.states()["redis"].pid not in (None, first))
    second, supervisord = pid_of(redis_stack, "redis"), redis_stack.supervisor.pid
    assert supervisord is not None
    end(supervisord)
    until(lambda: not pids.is_alive(supervisord))

    assert redis_stack.stop() == {}

    assert not pids.is_alive(second)


def test_up_after_a_killed_supervisor_takes_over(redis_stack: Stack) -> None:
    supervisord, server = redis_stack.supervisor.pid, pid_of(redis_stack, "redis")
    assert supervisord is not None
    end(supervisord)
    until(lambda: not pids.is_alive(supervisord))

    redis_stack.start_services(["redis"], free_ports=True)

    assert not pids.is_alive(server)
    assert redis_stack.status()["redis"].healthy


def test_a_killed_service_is_started_again(redis_stack: Stack) -> None:
    first = pid_of(redis_stack, "redis")

    end(first)

    until(lambda: redis_stack.status()["redis"].healthy and pid_of(redis_stack, "redis") != first)


def test_up_twice_changes_nothing(redis_stack: Stack) -> None:
    before = redis_stack.running()

    redis_stack.start_services(["redis"], free_ports=True)

    assert redis_stack.running() == before


def test_status_reports_each_service(redis_stack: Stack) -> None:
    report = to_json(redis_stack.status())

    assert report["healthy"] is False
    known = report["services"]["redis"]
    assert known["state"] == "running"
    assert known["healthy"] is True
    assert known["pid"] == pid_of(redis_stack, "redis")
    assert known["address"] == read_json(redis_stack.home.addresses_file)["redis_url"]
    assert known["detail"].startswith("Redis ")
    assert report["services"]["kafka"] == {
        "state": "stopped",
        "healthy": False,
        "pid": None,
        "address": None,
        "detail": "not started",
    }
    assert report["services"]["object_store"]["healthy"] is True


def test_status_notices_a_service_that_hangs(redis_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.services.probes.SECONDS", 0.3)
    server = pid_of(redis_stack, "redis")
    os.kill(server, signal.SIGSTOP)
    try:
        assert redis_stack.status()["redis"].healthy is False
    finally:
        os.kill(server, signal.SIGCONT)


def test_secrets_are_made_once_and_read_by_the_settings(redis_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JWT_SECRET", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    path = redis_stack.home.secrets_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text()
    redis_stack.start_services(["redis"], free_ports=True)

    settings = Settings(shutterlog_home=redis_stack.home.root)

    assert path.read_text() == first
    assert len(settings.jwt_secret) >= 32
    assert settings.redis_url == read_json(redis_stack.home.addresses_file)["redis_url"]


def test_a_taken_port_stops_the_start_before_anything_runs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setitem(addresses.PORTS, "redis", {"redis": listener.getsockname()[1]})

        with pytest.raises(PortTaken, match="--free-ports"):
            stack.start_services(["redis"])

    assert stack.running() == {}


def test_a_service_of_the_environment_is_used_and_not_started(redis_stack: Stack, tmp_path: Path) -> None:
    url = read_json(redis_stack.home.addresses_file)["redis_url"]
    guest = Stack(Home.at(tmp_path / "guest"), {"REDIS_URL": url})

    guest.start_services(["redis"])

    assert guest.running() == {}
    assert read_json(guest.home.addresses_file) == {"redis_url": url}
    health = guest.status()["redis"]
    assert (health.state, health.healthy, health.pid, health.address) == ("external", True, None, url)


def test_an_absent_service_of_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.services.stack.EXTERNAL_PATIENCE", 0.1)
    (port,) = addresses.choose_ports("redis", free_ports=True, remembered={}).values()
    guest = Stack(Home.at(tmp_path / "guest"), {"REDIS_URL": f"redis://127.0.0.1:{port}/0"})

    with pytest.raises(NeverHealthy, match="REDIS_URL names"):
        guest.start_services(["redis"])


def test_a_service_that_never_runs_is_reported_with_the_end_of_its_log(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.services.redis.configuration", lambda folder, port: "no-such-option 1\n")

    with pytest.raises(NeverHealthy, match="no-such-option"):
        stack.start_services(["redis"], free_ports=True)

    assert stack.running() == {}


def test_kafka_and_cassandra_answer_and_survive_a_restart_on_other_ports(stack: Stack) -> None:
    stack.start_services(["kafka", "cassandra"], free_ports=True)
    found = stack.status()
    assert found["kafka"].healthy
    assert found["cassandra"].healthy
    assert stack.stop() == {}
    record = stack.home.run / "stack.json"
    record.unlink()

    stack.start_services(["kafka", "cassandra"], free_ports=True)

    again = stack.status()
    assert again["kafka"].healthy
    assert again["cassandra"].healthy
    assert again["kafka"].address != found["kafka"].address
