"""The app's own programs under the supervisor, played by stand-ins."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jobs.services import pids, programs
from jobs.services.failures import NeverHealthy
from jobs.services.home import Home, read_json
from jobs.services.programs import AGENT_PRIORITY, API_PRIORITY, Program
from jobs.services.stack import Stack, to_json
from tests.jobs.test_stack import until

AGENT = "import signal; signal.pause()"
API = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

home = Path(os.environ["SHUTTERLOG_HOME"])
port = json.loads((home / "addresses.json").read_text())["api_port"]
HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


def stand_ins(environment: Mapping[str, str], slots: Mapping[str, tuple[str, ...]]) -> list[Program]:
    return [
        Program("agent-0", [sys.executable, "-c", AGENT], AGENT_PRIORITY, dict(environment)),
        Program("agent-1", [sys.executable, "-c", AGENT], AGENT_PRIORITY, {}),
    ]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.delenv("API_PORT", raising=False)
    monkeypatch.setattr("jobs.services.stack.agent_programs", stand_ins)
    api = tmp_path / "api.py"
    api.write_text(API)
    monkeypatch.setattr(
        "jobs.services.stack.api_program",
        lambda environment: Program("api", [sys.executable, str(api)], API_PRIORITY),
    )
    home = Home.at(tmp_path / "home")
    home.create()
    made = Stack(home, {})
    yield made
    assert made.stop() == {}
    assert made.running() == {}


def environment_of(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/environ").read_text().split("\0"))


def test_apps_run_are_asked_after_and_are_stopped(stack: Stack) -> None:
    stack.start_apps(free_ports=True)

    found = stack.status()
    assert found["api"].healthy
    assert found["api"].address == f"http://127.0.0.1:{read_json(stack.home.addresses_file)['api_port']}"
    assert found["agent-0"].healthy
    assert to_json(found)["healthy"] is False, "no service runs"
    running = stack.running()
    assert set(running.values()) == {"supervisord", "api", "agent-0", "agent-1"}

    assert stack.stop() == {}

    assert not any(pids.is_alive(pid) for pid in running)


def test_agents_get_the_settings_of_the_environment_and_only_a_changed_one_restarts(stack: Stack) -> None:
    stack.start_apps(free_ports=True)
    before = {name: state.pid for name, state in stack.supervisor.states().items()}
    again = Stack(stack.home, {"FEED_CAP": "50", "NOT_A_SETTING": "x"})

    again.start_apps(free_ports=True)

    after = {name: state.pid for name, state in again.supervisor.states().items()}
    assert after["agent-1"] == before["agent-1"]
    assert after["api"] == before["api"]
    assert after["agent-0"] != before["agent-0"]
    pid = after["agent-0"]
    assert pid is not None
    variables = environment_of(pid)
    assert {"FEED_CAP=50", f"SHUTTERLOG_HOME={stack.home.root}", f"{pids.MARK}=agent-0"} <= variables
    assert "NOT_A_SETTING=x" not in variables


def test_what_an_agent_starts_is_stopped_with_it(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    born = tmp_path / "child"
    parent = tmp_path / "parent.py"
    parent.write_text(
        "import pathlib, signal, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {AGENT!r}], start_new_session=True)\n"
        f"pathlib.Path({str(born)!r}).write_text(str(child.pid))\n"
        "signal.pause()\n"
    )
    monkeypatch.setattr(
        "jobs.services.stack.agent_programs",
        lambda environment, slots: [Program("agent-0", [sys.executable, str(parent)], AGENT_PRIORITY)],
    )
    stack.start_apps(free_ports=True)
    until(lambda: born.exists() and born.read_text() != "")
    child = int(born.read_text())
    assert pids.is_alive(child)

    assert stack.stop() == {}

    assert not pids.is_alive(child)


def test_an_agent_that_does_not_keep_running_is_reported_with_its_log(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jobs.services.stack.agent_programs",
        lambda environment, slots: [
            Program("agent-0", [sys.executable, "-c", "raise SystemExit('no such group')"], 50)
        ],
    )

    with pytest.raises(NeverHealthy, match="no such group"):
        stack.start_apps(free_ports=True)


def test_every_home_feed_worker_has_a_slot_of_its_own() -> None:
    apps = programs.agent_programs({})

    slots = [program.environment["SHUTTERLOG_SLOT"] for program in apps]
    assert len(set(slots)) == len(slots) == len(programs.AGENTS)
    assert json.loads(json.dumps([program.to_json() for program in apps]))[0]["name"] == slots[0]
    assert os.path.basename(apps[0].command[0]).startswith("python")


def test_every_group_is_run_and_every_program_runs_groups_that_exist() -> None:
    from agents.groups import GROUPS

    assert {group for groups in programs.AGENTS.values() for group in groups} == set(GROUPS)


def test_one_app_is_restarted_and_others_are_left_alone(stack: Stack) -> None:
    """Rolling restarts: with other code, and then with the same."""
    stack.start_apps(free_ports=True)
    seen = [{name: state.pid for name, state in stack.supervisor.states().items()}]
    for _ in range(2):
        stack.restart_app("agent-0", {"PYTHONPATH": "/elsewhere"})
        states = stack.supervisor.states()
        seen.append({name: state.pid for name, state in states.items()})
        assert states["agent-0"].state == "running"
        assert "PYTHONPATH=/elsewhere" in environment_of(states["agent-0"].pid or 0)
    assert len({pids_then["agent-0"] for pids_then in seen}) == 3
    assert len({(pids_then["agent-1"], pids_then["api"]) for pids_then in seen}) == 1
