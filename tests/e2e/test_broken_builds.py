"""Builds that are broken on purpose: chaos has to find each. By hand, since each takes minutes:
``BROKEN_BUILDS=1 pytest tests/e2e/test_broken_builds.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.chaos import Wishes, chaos
from tests.agents.workers import ROOT
from tests.e2e.test_chaos import CHAOS_SLOTS, drop, variables
from tests.services import empty_redis

PATIENCE = 30.0


@pytest.mark.skipif("BROKEN_BUILDS" not in os.environ, reason="takes minutes: set BROKEN_BUILDS=1")
@pytest.mark.parametrize(
    ("build", "faults", "minutes"),
    [
        ("no_fences", ("flush redis",), 0.2),
        ("commit_first", ("strike workers",), 2.0),
        ("one_pass", ("strike workers",), 2.0),
    ],
)
def test_chaos_finds_a_broken_build(
    build: str,
    faults: tuple[str, ...],
    minutes: float,
    kafka_bootstrap: str,
    redis_url: str,
    cassandra_hosts: str,
    clickhouse_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests" / "broken" / build))
    with empty_redis(redis_url) as own_redis_url:
        given = variables(kafka_bootstrap, own_redis_url, cassandra_hosts, clickhouse_url)
        wishes = Wishes(minutes, 1, tmp_path / "chaos", faults, 8, CHAOS_SLOTS, given, PATIENCE)
        report, _ = chaos(wishes, print)
        print("\n".join(report.text()))
        # With the commit first, a gateway that waits for a view reads too early: the log has what it said then, though
        # not what was right to say.
        assert not [line for line in report.lost if line.endswith("not in the log")], "the log is not what is broken"
        assert report.differences, f"{build} was not found: {report.problems()}"
    drop(given)
