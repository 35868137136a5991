"""The stack that chaos breaks: real programs in a folder of its own, each store behind a link that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import urlsplit

from jobs.chaos_guard import DONE, end_stack
from jobs.chaos_links import Link
from jobs.provision import provision
from jobs.services import addresses, kafka, objects, pids, probes
from jobs.services.home import Home, read_json
from jobs.services.programs import AGENTS
from jobs.services.stack import Stack
from sinks.settings import Settings

OBJECTS_BYTES = 256 * 1024 * 1024
"""Of the file system that can be filled; memory is taken only while it is."""
ENVIRONMENT: Mapping[str, str] = {
    # A dozen people write as much as many would, and for as long as a run lasts.
    "COMMENT_BURST": "1000000",
    "WRITE_BURST": "1000000",
    "ADDRESS_WRITE_BURST": "1000000",
    "UPLOAD_BURST": "1000000",
    "REGISTRATION_BURST": "1000000",
    "ACCESS_TOKEN_SECONDS": "86400",
    "FACTS_BATCH_SECONDS": "0.5",
    "S3_BUCKET": objects.BUCKET,
}
ROOT = Path(__file__).resolve().parents[1]


class ChaosStack:
    """An async context manager: up inside, gone afterwards. ``home`` must not exist yet. Raises ``StackError``."""

    def __init__(
        self,
        home: Path,
        say: Callable[[str], None] = lambda line: None,
        *,
        slots: Mapping[str, tuple[str, ...]] = AGENTS,
        given: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``slots`` are the agents' programs. ``given`` are variables for all of ours; services that they name are used
        as they are, behind links of this stack's, except Kafka, whose clients come to the address it tells them."""
        self.home = Home.at(home)
        self.slots, self._given = slots, given
        self._say = say
        self._end = contextlib.AsyncExitStack()
        self.links: dict[str, Link] = {}
        self.no_full_disk = ""
        """Why no file system can be filled here; empty where one can."""
        self.keeps_logs = False
        """Whether the programs' logs are left in the home at the end."""
        self._environment: dict[str, str] = {}
        self._extra = 0
        self.settings: Settings
        """Past the links: what looks on must not be cut off."""
        self.base_url = ""
        self._stack: Stack

    @property
    def media(self) -> Path:
        """The object store's folder, which a local S3 stands before where every store is one program."""
        return objects.folder(self.home)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._end.aclose()

    async def _start(self) -> None:
        self.home.create()
        self._guard()
        self._mount()
        self.media.mkdir(parents=True)
        behind = await self._start_services()
        self._environment = {**ENVIRONMENT, **self._given, **behind, "MEDIA_ROOT": str(self.media)}
        self._stack = Stack(self.home, self._environment, self._say)
        await asyncio.to_thread(self._stack.start_apps, free_ports=True, slots=self.slots)
        self.base_url = f"http://127.0.0.1:{read_json(self.home.addresses_file)['api_port']}"

    async def _start_services(self) -> dict[str, str]:
        """Start the services; the variables by which our programs find them."""
        listens, advertised = _free_ports(2)
        services = Stack(self.home, self._given, self._say, kafka.Link(listens, advertised))
        await asyncio.to_thread(services.start_services, [*addresses.SERVICES, "objects"], free_ports=True)
        direct = await self._provision()
        behind = {"KAFKA_BOOTSTRAP": direct["kafka_bootstrap"]}
        if "KAFKA_BOOTSTRAP" not in self._given:
            await self._link("kafka", listens, advertised)
            behind["KAFKA_BOOTSTRAP"] = f"127.0.0.1:{advertised}"
        if "s3_user" in direct:
            behind["S3_USER"] = direct["s3_user"]
        for name, field in _FIELDS.items():
            await self._link(name, _port(direct[field]))
            behind[field.upper()] = direct[field].replace(f":{_port(direct[field])}", f":{self.links[name].port}")
        return behind

    async def _provision(self) -> dict[str, str]:
        """Make topics and tables in what runs; the addresses of that."""
        direct = {name: str(address) for name, address in read_json(self.home.addresses_file).items()}
        known = {**_OWN, **read_json(self.home.secrets_file), **direct}
        known |= {name.lower(): value for name, value in self._given.items()}
        self.settings = Settings(shutterlog_home=self.home.root, media_root=self.media, **known)
        await asyncio.to_thread(provision, self.settings)
        return direct

    async def _link(self, name: str, target: int, port: int = 0) -> None:
        self.links[name] = await self._end.enter_async_context(Link(name, target, port))

    def _guard(self) -> None:
        guard = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "jobs.chaos_guard", str(self.home.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
        )

        async def let_go() -> None:
            left = await asyncio.to_thread(end_stack, self.home)
            await asyncio.to_thread(guard.communicate, DONE, 30)
            self.remove()
            if left:
                raise RuntimeError(f"still running: {left}")

        self._end.push_async_callback(let_go)

    def remove(self) -> None:
        """Clear the home away, but for the logs where they are to be kept."""
        if not self.keeps_logs:
            shutil.rmtree(self.home.root, ignore_errors=True)
            return
        for path in self.home.root.iterdir():
            if path.is_file():
                path.unlink()
            elif path != self.home.logs:
                shutil.rmtree(path, ignore_errors=True)
        self._say(f"the programs' logs are left in {self.home.logs}")

    def _mount(self) -> None:
        folder = self.home.data / "objects"
        folder.mkdir()
        try:
            subprocess.run(  # noqa: S603
                ["mount", "-t", "tmpfs", "-o", f"size={OBJECTS_BYTES}", "tmpfs", str(folder)],  # noqa: S607
                check=True,
                capture_output=True,
                text=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            self.no_full_disk = f"no file system of its own can be mounted here: {said.strip()}"

    # -- its programs -------------------------------------------------------------------------------------------------

    async def pid(self, name: str, patience: float = 60.0) -> int:
        """The pid of a running program. Raises ``TimeoutError``."""
        deadline = time.monotonic() + patience
        while True:
            state = (await asyncio.to_thread(self._stack.supervisor.states)).get(name)
            if state is not None and state.pid and pids.is_alive(state.pid):
                return state.pid
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} does not run")
            await asyncio.sleep(0.1)

    async def stop(self, name: str) -> None:
        """Stop a program, and wait for its end."""
        pid = await self.pid(name)
        await asyncio.to_thread(self._stack.supervisor.stop_program, name)
        await asyncio.to_thread(pids.wait_gone, [pid], 30.0)

    async def start(self, name: str) -> None:
        """Start a stopped program."""
        await asyncio.to_thread(self._stack.supervisor.start_program, name)

    def one_more(self, name: str, command: list[str], more: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Path]:
        """One more program beside the supervised ones, with their environment, and the log that it writes."""
        self._extra += 1
        log = self.home.log(f"{name}-{self._extra}")
        environment = {**os.environ, **self._environment, "SHUTTERLOG_HOME": str(self.home.root), **more}
        environment[pids.MARK] = name
        with log.open("wb") as said:
            process = subprocess.Popen(  # noqa: S603
                command, env=environment, cwd=self.home.root, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        return process, log

    def free_port(self) -> int:
        """For one more program."""
        return _free_ports(1)[0]

    async def answers(self, base_url: str, patience: float = 60.0) -> bool:
        """Whether a gateway answers within ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while not (await asyncio.to_thread(probes.finding, lambda: probes.http(f"{base_url}/healthz")))[0]:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True


_FIELDS = {
    "redis": "redis_url",
    "cassandra": "cassandra_hosts",
    "clickhouse": "clickhouse_url",
    "objects": "s3_endpoint",
}
_OWN: dict[str, Any] = {
    "topic_prefix": "",
    "cassandra_keyspace": "shutterlog",
    "clickhouse_database": "shutterlog",
    "s3_bucket": objects.BUCKET,
}
"""Whatever the environment says: this world is nobody else's."""


def _free_ports(count: int) -> list[int]:
    chosen: list[int] = []
    for port in addresses.FREE_RANGE[os.getpid() % 7000 :]:
        if addresses.is_free(port):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise RuntimeError("no free port is left")


def _port(address: str) -> int:
    """Of ``host:port``, and of a URL."""
    return urlsplit(address if "//" in address else f"//{address}").port or 0
