"""The rendered configuration of each service, and of the supervisor."""

from __future__ import annotations

import configparser
import json
import shlex
import xml.etree.ElementTree as ET  # noqa: S405 - our own files
from pathlib import Path

import pytest

from jobs.services import cassandra, kafka, objects, pids, redis
from jobs.services.failures import StackError
from jobs.services.home import SOCKET_PATH_LIMIT, Home
from jobs.services.programs import AGENTS, Program, agent_programs, api_program
from jobs.services.supervisor import render

SERVICES = Path(kafka.__file__).parent


def test_kafka_keeps_everything_and_listens_on_loopback_only() -> None:
    values = kafka.properties(Path("/data/kafka"), 1111, 2222)

    assert values["log.retention.ms"] == values["log.retention.bytes"] == "-1"
    assert values["auto.create.topics.enable"] == "false"
    assert values["listeners"] == "PLAINTEXT://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
    assert values["controller.quorum.voters"] == "1@127.0.0.1:2222"
    assert values["group.initial.rebalance.delay.ms"] == "0"
    assert values["group.min.session.timeout.ms"] == "1000"
    assert "log.dirs=/data/kafka\n" in kafka.render(values)


def test_cassandra_listens_on_loopback_and_keeps_all_below_its_folder() -> None:
    values = cassandra.configuration(Path("/data/cassandra"), 1111, 2222)

    assert values["native_transport_port"] == 1111
    assert values["storage_port"] == 2222
    assert values["listen_address"] == values["rpc_address"] == "127.0.0.1"
    folders = [value for name, value in values.items() if name.endswith("_directory")]
    assert len(folders) == 4
    assert all(folder.startswith("/data/cassandra/") for folder in [*folders, *values["data_file_directories"]])
    assert json.loads(json.dumps(values)) == values


def test_redis_loses_at_most_a_second_and_evicts_nothing() -> None:
    lines = redis.configuration(Path("/data/redis"), 1111).splitlines()

    assert {
        "bind 127.0.0.1",
        "port 1111",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "set-max-intset-entries 4096",
        'dir "/data/redis"',
    } <= set(lines)


def test_objects_are_for_who_has_the_key_on_loopback_only() -> None:
    values = objects.properties(Path("/data/objects"), 1111, "a key")

    assert values["s3proxy.endpoint"] == "http://127.0.0.1:1111"
    assert (values["s3proxy.authorization"], values["s3proxy.credential"]) == ("aws-v4", "a key")
    assert values["jclouds.filesystem.basedir"] == "/data/objects"


@pytest.mark.parametrize(("service", "least"), [("kafka", 2), ("cassandra", 2), ("objects", 1)])
def test_every_jar_is_pinned(service: str, least: int) -> None:
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    project = ET.parse(SERVICES / f"{service}.pom.xml")  # noqa: S314 - our own file

    versions = [each.text or "" for each in project.findall(".//m:dependency/m:version", namespace)]

    assert len(versions) >= least
    assert all(version[0].isdigit() and version.replace(".", "").isdigit() for version in versions)


def _read(home: Home, programs: list[Program]) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(render(home, programs))
    return parser


def test_the_supervisor_restarts_rotates_and_stops_apps_before_services(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    programs = [api_program({}), *agent_programs({}), Program(name="kafka", command=["java", "-cp", "a b"])]

    parser = _read(home, programs)

    sections = {program.name: parser[f"program:{program.name}"] for program in programs}
    assert all(section["autorestart"] == "true" for section in sections.values())
    assert all(int(section["stdout_logfile_maxbytes"]) > 0 for section in sections.values())
    assert len({section["stdout_logfile"] for section in sections.values()}) == len(programs)
    priorities = {name: int(section["priority"]) for name, section in sections.items()}
    assert priorities["kafka"] < priorities["views-0"] < priorities["api"]
    assert shlex.split(sections["kafka"]["command"]) == ["java", "-cp", "a b"]


def test_each_agent_knows_its_slot_its_home_and_its_groups(tmp_path: Path) -> None:
    home = Home.at(tmp_path)

    parser = _read(home, agent_programs({"FEED_CAP": "50"}))

    assert set(AGENTS) == {name.removeprefix("program:") for name in parser.sections() if name.startswith("program:")}
    for slot, groups in AGENTS.items():
        section = parser[f"program:{slot}"]
        assert shlex.split(section["command"])[1:] == ["-m", "agents", *groups]
        assert f'SHUTTERLOG_SLOT="{slot}"' in section["environment"]
        assert f'SHUTTERLOG_HOME="{home.root}"' in section["environment"]
        assert f'{pids.MARK}="{slot}"' in section["environment"]
        assert 'FEED_CAP="50"' in section["environment"]


def test_values_that_supervisord_would_misread_are_quoted_or_refused(tmp_path: Path) -> None:
    home = Home.at(tmp_path)

    text = render(home, [Program(name="x", command=["x%y"], environment={"A": 'say "100%"'})])

    assert "command=x%%y" in text
    assert """A='say "100%%"'""" in text
    with pytest.raises(StackError, match="BOTH"):
        render(home, [Program(name="x", command=["x"], environment={"BOTH": "\"'"})])
    for value in ("two\nlines", "a ;comment", "a #comment"):
        with pytest.raises(StackError, match="environment"):
            render(home, [Program(name="x", command=["x"], environment={"A": value})])


def test_a_long_home_still_has_a_socket_that_fits(tmp_path: Path) -> None:
    near, far = Home.at("/tmp/a"), Home.at(tmp_path / ("long" * 40))  # noqa: S108 - only a name

    assert near.socket.parent == near.run
    assert len(str(far.socket)) <= SOCKET_PATH_LIMIT
    assert far.socket != Home.at(tmp_path / ("more" * 40)).socket
