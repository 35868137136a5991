"""The benches of comments, saves and notices in small: the agent beside the loop by hand, which do the same."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from jobs import bench_pipeline_tables as bench
from jobs.cli import app
from sinks.cassandra import Cassandra
from sinks.settings import Settings
from sinks.view_tables import TABLES, table_name

KEYS = {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"}
EVENTS = 6_000


@pytest.mark.parametrize("event", sorted(bench.KINDS))
def test_events_go_through_an_agent_and_through_the_loop_by_hand(
    event: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis_url", "kafka_bootstrap", "cassandra_hosts"):
        monkeypatch.setenv(name.upper(), str(getattr(settings, name)))
    monkeypatch.setattr(bench, "PEOPLE", 100)
    monkeypatch.setattr(bench, "POSTS", 50)
    kept: list[dict[str, Any]] = []
    forget = bench._forget

    async def look_and_forget(cassandra: Cassandra, kind: bench.Kind) -> None:
        kept.append(await _rows(cassandra, kind.view))
        await forget(cassandra, kind)

    monkeypatch.setattr(bench, "_forget", look_and_forget)
    figures = bench.run(event, samples=1, events=EVENTS)
    assert set(figures) >= KEYS
    assert (figures["event"], figures["events"]) == (event, EVENTS)
    assert float(str(figures["figure"])) > 0 and float(str(figures["yardstick"])) > 0
    ours, theirs = kept
    assert ours.keys() == theirs.keys() and any(ours.values())
    for table, rows in ours.items():
        # By hand, nothing orders a row and what undoes it in one batch, and positions are counted.
        assert len(rows ^ theirs[table]) <= 0.05 * EVENTS, table
        assert bool(rows) is bool(theirs[table]), table


async def _rows(cassandra: Cassandra, view: str) -> dict[str, set[tuple[object, ...]]]:
    """The keys in each table of the view, without positions."""
    found = {}
    for name, table in TABLES.items():
        if table.view == view:
            key = [column for column in table.key if column != "position"]
            rows = await cassandra.execute(f"SELECT {', '.join(key)} FROM {table_name(name, 1)}")  # noqa: S608
            found[name] = {tuple(row) for row in rows}
    return found


def test_another_event_is_refused() -> None:
    result = CliRunner().invoke(app, ["bench", "pipeline", "--event", "wave"])
    assert result.exit_code == 1
    assert "post, like, comment, save, notice, story" in result.output
    assert CliRunner().invoke(app, ["bench", "live", "--event", "save"]).exit_code == 1
