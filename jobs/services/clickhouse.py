"""The local ClickHouse: its engine in a wheel (chDB), behind a front that speaks ClickHouse's HTTP."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit, urlunsplit

from jobs.services.home import Home
from jobs.services.programs import Program


def program(home: Home, port: int) -> Program:
    """How to start it; its data are in the home."""
    folder = home.data / "clickhouse" / "engine"
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jobs.services.clickhouse_front", "--port", str(port), "--folder", str(folder)]
    return Program(name="clickhouse", command=command)


def without_key(url: str) -> str:
    """``url`` as it may be shown: without who writes and their key."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
