"""The local ClickHouse: its engine in a wheel (chDB), behind a front that speaks ClickHouse's HTTP."""

from __future__ import annotations

import sys

from jobs.services.guard import Guard
from jobs.services.home import Home
from jobs.services.programs import Program


def program(home: Home, port: int, guard: Guard | None = None) -> Program:
    """How to start it; its data are in the home. A guarded one answers nobody without the writer's key."""
    folder = home.data / "clickhouse" / "engine"
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jobs.services.clickhouse_front", "--port", str(port), "--folder", str(folder)]
    if guard:
        command += ["--certificate", str(guard.pem)]
    return Program(name="clickhouse", command=command)
