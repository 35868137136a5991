"""docker-compose.yml against the compose specification and the programs of `shutterlog up`; no engine needed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.services import addresses
from jobs.services.programs import AGENTS

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "docker-compose.yml"
WATCHING = ("prometheus", "grafana")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return content


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]

    answer = subprocess.run(command, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_it_has_every_service_and_every_agent(compose: dict[str, Any]) -> None:
    services = compose["services"]

    stores = {*addresses.SERVICES, "object-store"}
    assert set(services) == {*stores, "provision", "api", *AGENTS, *WATCHING}
    for slot, groups in AGENTS.items():
        assert services[slot]["command"] == ["python", "-m", "agents", *groups]
        assert services[slot]["environment"]["SHUTTERLOG_SLOT"] == slot
    for name in (*stores, *WATCHING):
        assert "healthcheck" in services[name]
        assert services[name]["volumes"]


def test_apps_are_told_where_every_service_is_and_wait_for_provisioning(compose: dict[str, Any]) -> None:
    for name in ("api", *AGENTS):
        app = compose["services"][name]
        assert {addresses.ENVIRONMENT[each] for each in addresses.SERVICES} <= app["environment"].keys()
        assert app["depends_on"] == {"provision": {"condition": "service_completed_successfully"}}


def test_pictures_have_addresses_that_a_client_can_open(compose: dict[str, Any]) -> None:
    # An API that listens on every address has none of its own to give.
    assert compose["services"]["api"]["environment"]["PUBLIC_URL"] == "${PUBLIC_URL:-http://localhost:8080}"


def test_volumes_and_dependencies_exist_and_images_are_pinned(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["image"] == "shutterlog" or re.search(r":[\w.-]*\d", service["image"])
        sources = {volume.partition(":")[0] for volume in service.get("volumes", [])}
        files = {source for source in sources if source.startswith("./")}
        assert sources - files <= compose["volumes"].keys()
        assert all((PROJECT / file).is_file() for file in files), "an engine makes folders of files that are not there"
        assert set(service.get("depends_on", {})) <= compose["services"].keys()


def test_the_image_copies_every_room() -> None:
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    copied = {word for line in lines if line.startswith("COPY") for word in shlex.split(line)[1:-1]}

    assert {"schemas", "streams", "sinks", "agents", "api", "jobs"} <= copied
    assert all((PROJECT / name).exists() for name in copied)
