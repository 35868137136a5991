"""The folder in which a local Shutterlog lives: data, logs, configuration, addresses, secrets."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sinks.web_push import new_vapid_key

_SECRETS: Mapping[str, Callable[[], str]] = {
    "jwt_secret": partial(secrets.token_urlsafe, 48),
    "email_secret": partial(secrets.token_urlsafe, 48),
    "clickhouse_key": partial(secrets.token_urlsafe, 48),
    "s3_key": partial(secrets.token_urlsafe, 48),
    "vapid_private_key": new_vapid_key,
}
SOCKET_PATH_LIMIT = 100
"""Unix socket paths end at 107 characters on Linux."""


@dataclass(frozen=True)
class Home:
    """Paths below ``$SHUTTERLOG_HOME``. Making one touches nothing; ``create`` makes the folders."""

    root: Path

    @classmethod
    def at(cls, path: Path | str) -> Home:
        """The home at ``path``, made absolute, since supervised programs start elsewhere."""
        return cls(Path(path).expanduser().absolute())

    @property
    def data(self) -> Path:
        """What must survive a restart."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log per program, rotated by the supervisor."""
        return self.root / "logs"

    @property
    def conf(self) -> Path:
        """Rendered configuration; written anew by every start."""
        return self.root / "conf"

    @property
    def run(self) -> Path:
        """Pids, socket and lock of the running stack."""
        return self.root / "run"

    @property
    def media(self) -> Path:
        """The object store's folder."""
        return self.data / "media"

    @property
    def addresses_file(self) -> Path:
        """Where ``Settings`` finds the running services."""
        return self.root / "addresses.json"

    @property
    def secrets_file(self) -> Path:
        """Generated secrets, readable by the owner only."""
        return self.root / "secrets.json"

    @property
    def certificates(self) -> Path:
        """The CA and the certificates of a guarded home, for their owner only."""
        return self.root / "tls"

    @property
    def socket(self) -> Path:
        """The supervisor's socket; outside the home where the home's path is too long for one."""
        inside = self.run / "supervisor.sock"
        if len(str(inside)) <= SOCKET_PATH_LIMIT:
            return inside
        name = hashlib.sha256(str(inside).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"shutterlog-{name}.sock"

    def log(self, program: str) -> Path:
        """The log of one program."""
        return self.logs / f"{program}.log"

    def create(self) -> None:
        """Make the folders."""
        for folder in (self.root, self.data, self.logs, self.conf, self.run, self.media):
            folder.mkdir(parents=True, exist_ok=True)

    def ensure_secrets(self) -> None:
        """Generate each secret once; they stay for the life of the home."""
        held = read_json(self.secrets_file)
        lacking = {name: make for name, make in _SECRETS.items() if name not in held}
        if lacking:
            held |= {name: make() for name, make in lacking.items()}
            write_json(self.secrets_file, held, mode=0o600)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home: one ``up`` or ``down`` at a time."""
        self.run.mkdir(parents=True, exist_ok=True)
        with file_lock(self.run / "lock"):
            yield


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Wait for, then hold, an exclusive lock on ``path``; a dead holder's lock is gone with it."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``, or an empty one where there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return content


def write_json(path: Path, content: Mapping[str, Any], mode: int = 0o644) -> None:
    """Replace ``path`` in one step, so that no reader sees half a file."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n", mode)


def write_text(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace ``path`` in one step."""
    write_bytes(path, content.encode(), mode)


def write_bytes(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    partial.replace(path)
