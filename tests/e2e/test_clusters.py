"""Stores of several nodes each: any one dies under load, buckets move, workers are rolled, and nothing is lost.

By hand, since it takes minutes and some 5 GiB: ``CLUSTERS=1 pytest tests/e2e/test_clusters.py``; with
``CLUSTERS_OTHER=FOLDER``, another checkout, two versions of the workers run side by side.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.chaos import Wishes, chaos
from tests.e2e.test_chaos import CHAOS_SLOTS

GIVEN = {"PARTITIONS": "3", "BUCKETS": "6", "SESSION_TIMEOUT_MS": "6000"}
PATIENCE = 90.0


@pytest.mark.skipif("CLUSTERS" not in os.environ, reason="takes minutes, and some 5 GiB: set CLUSTERS=1")
@pytest.mark.parametrize(
    "faults",
    [
        ("kill broker", "kill redis-master", "kill cassandra-node", "move buckets"),
        ("freeze redis-master", "kill worker", "roll workers"),
    ],
)
def test_clusters_lose_nothing(faults: tuple[str, ...], tmp_path: Path) -> None:
    other = os.environ.get("CLUSTERS_OTHER")
    wishes = Wishes(
        len(faults) * 40 / 60,
        1,
        tmp_path / "chaos",
        faults,
        people=4,
        slots=CHAOS_SLOTS,
        given=GIVEN,
        patience=PATIENCE,
        clusters=True,
        other=Path(other) if other else None,
    )
    report, _ = chaos(wishes, print)
    print("\n".join(report.text()))
    assert report.well, report.problems()
    assert {one.fault.name for one in report.faults if one.fired} == set(faults)
