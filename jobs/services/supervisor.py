"""Supervisord: its configuration rendered, its process started and stopped, its programs asked after."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xmlrpc.client import Fault, ProtocolError, ServerProxy  # noqa: S411 - our own supervisor on a local socket

from supervisor.xmlrpc import SupervisorTransport

from jobs.services import pids
from jobs.services.failures import StackError
from jobs.services.home import Home, write_text
from jobs.services.programs import Program

RPC_FACTORY = "supervisor.rpcinterface:make_main_rpcinterface"
LOG_BYTES, LOG_BACKUPS = 10 * 1024 * 1024, 3
_STOPPING_SECONDS = 60.0
"""Longer than any program is given to stop before it is killed."""
RETRIES = 1000
"""A program that keeps failing is tried for ever, a little later each time; `status` shows it."""


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor knows of one program."""

    name: str
    state: str
    pid: int | None
    started: int
    said: str


def render(home: Home, programs: Iterable[Program]) -> str:
    """``supervisord.conf`` for ``programs``; they stop in the reverse of their priority."""
    sections: list[tuple[str, dict[str, str]]] = [
        ("unix_http_server", {"file": str(home.socket), "chmod": "0700"}),
        (
            "supervisord",
            {
                "logfile": str(home.log("supervisord")),
                "logfile_maxbytes": str(LOG_BYTES),
                "logfile_backups": str(LOG_BACKUPS),
                "loglevel": "info",
                "pidfile": str(home.run / "supervisord.pid"),
                "childlogdir": str(home.logs),
                "directory": str(home.root),
                "minfds": "1024",
                "environment": _environment({"SHUTTERLOG_HOME": str(home.root), pids.MARK: "supervisord"}),
            },
        ),
        (
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    for program in sorted(programs, key=lambda each: (each.priority, each.name)):
        environment = {**program.environment, "SHUTTERLOG_HOME": str(home.root), pids.MARK: program.name}
        options = {
            "command": shlex.join(program.command),
            "directory": str(home.root),
            "priority": str(program.priority),
            "environment": _environment(environment),
            "autostart": "true",
            "autorestart": "true",
            "startsecs": str(program.start_seconds),
            "startretries": str(RETRIES),
            "stopsignal": "TERM",
            "stopwaitsecs": str(program.stop_seconds),
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(home.log(program.name)),
            "stdout_logfile_maxbytes": str(LOG_BYTES),
            "stdout_logfile_backups": str(LOG_BACKUPS),
        }
        sections.append((f"program:{program.name}", options))
    return "\n".join(_section(name, options) for name, options in sections)


class Supervisor:
    """The supervisor of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def pid(self) -> int | None:
        """The pid of the running supervisord, if there is one."""
        try:
            pid = int((self.home.run / "supervisord.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._answers() else None

    def apply(self, programs: Iterable[Program]) -> None:
        """Run exactly ``programs``: start the supervisor or bring the running one up to date."""
        write_text(self.home.conf / "supervisord.conf", render(self.home, programs), mode=0o600)
        if self.pid is None:
            self._start()
        else:
            self._update()

    def states(self) -> dict[str, ProgramState]:
        """All programs by name; empty where no supervisor runs."""
        if not self._answers():
            return {}
        with self._rpc() as rpc:
            return {info["name"]: _state(info) for info in rpc.getAllProcessInfo()}

    def start_program(self, name: str) -> None:
        """Start one program that is stopped, or about to be."""
        self._quietly(lambda rpc: self._stopped(rpc, name) and rpc.startProcess(name, False))

    def stop_program(self, name: str) -> None:
        """Ask one program to stop, without waiting."""
        self._quietly(lambda rpc: rpc.stopProcess(name, False))

    def shut_down(self, patience: float = 60.0) -> None:
        """Stop every program in its order, then the supervisor; returns when it is gone or patience is."""
        pid = self.pid
        if pid is None:
            return
        self._quietly(lambda rpc: rpc.shutdown())
        pids.wait_gone([pid], patience)

    def _start(self) -> None:
        self.home.socket.unlink(missing_ok=True)
        conf = self.home.conf / "supervisord.conf"
        answer = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        deadline = time.monotonic() + 15
        while not self._answers():
            if answer.returncode != 0 or time.monotonic() > deadline:
                raise StackError(f"supervisord did not start: {(answer.stdout + answer.stderr)[-1000:]}")
            time.sleep(0.05)

    def _update(self) -> None:
        with self._rpc() as rpc:
            added, changed, removed = rpc.reloadConfig()[0]
            for name in [*changed, *removed]:
                if not self._stopped(rpc, name):
                    rpc.stopProcess(name)
                rpc.removeProcessGroup(name)
            for name in [*changed, *added]:
                rpc.addProcessGroup(name)

    @staticmethod
    def _stopped(rpc: Any, name: str) -> bool:
        """Whether a program does not run. What is about to stop is waited for, also where its process is gone already:
        until supervisord has seen that, it refuses to stop it, and passes over a start without a word."""
        deadline = time.monotonic() + _STOPPING_SECONDS
        while (state := rpc.getProcessInfo(name)["statename"]) == "STOPPING" and time.monotonic() < deadline:
            time.sleep(0.05)
        return state not in ("STARTING", "RUNNING", "BACKOFF", "STOPPING")

    def _quietly(self, call: Callable[[Any], Any]) -> None:
        """A call whose refusal means that there is nothing left to do."""
        try:
            with self._rpc() as rpc:
                call(rpc)
        except (Fault, ProtocolError, OSError):
            return

    def _answers(self) -> bool:
        if not self.home.socket.exists():
            return False
        try:
            with self._rpc() as rpc:
                return bool(rpc.getState()["statecode"] is not None)
        except (Fault, ProtocolError, OSError):
            return False

    @contextmanager
    def _rpc(self) -> Iterator[Any]:
        transport = SupervisorTransport(serverurl=f"unix://{self.home.socket}")
        try:
            yield ServerProxy("http://localhost", transport=transport).supervisor
        finally:
            transport.close()


def _state(info: Mapping[str, Any]) -> ProgramState:
    return ProgramState(
        name=info["name"],
        state=info["statename"].lower(),
        pid=info["pid"] or None,
        started=info["start"],
        said=info["spawnerr"] or info["description"],
    )


def _section(name: str, options: Mapping[str, str]) -> str:
    lines = [f"{key}={_plain(key, value)}" for key, value in options.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _plain(key: str, value: str) -> str:
    """``value`` as supervisord reads it back: it knows no way to write a line's end or the start of a comment."""
    if re.search(r"[\r\n]|\s[;#]", value):
        raise StackError(f"supervisord cannot be given this {key}, it has a line's end or a comment's start: {value!r}")
    return value.replace("%", "%%")


def _environment(variables: Mapping[str, str]) -> str:
    return ",".join(f"{name}={_quoted(name, value)}" for name, value in sorted(variables.items()))


def _quoted(name: str, value: str) -> str:
    quote = '"' if '"' not in value else "'"
    if quote in value:
        raise StackError(f"{name} holds both kinds of quotes; supervisord cannot pass that on")
    return f"{quote}{value}{quote}"
