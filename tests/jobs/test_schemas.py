"""`shutterlog schemas`: what it prints, how it ends, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import jobs.schemas
from jobs.cli import app
from jobs.schemas import LOCK_FILE, check, read_lock
from schemas.lock import Lock, locked

FOLLOWED = "graph-shutterlog.Followed"


@pytest.fixture
def lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of this test's own, in which one event is missing."""
    path = tmp_path / "lock.json"
    path.write_text(Lock(version for version in locked().versions() if version.subject != FOLLOWED).text())
    monkeypatch.setattr(jobs.schemas, "LOCK_FILE", path)
    monkeypatch.setattr(jobs.schemas, "read_lock", lambda: read_lock(path))
    return path


def test_a_current_lock_is_well() -> None:
    result = CliRunner().invoke(app, ["schemas", "check", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"well": True, "broken": {}, "unlocked": []}


def test_an_unlocked_change_ends_with_1_and_says_what_to_do(lock_file: Path) -> None:
    result = CliRunner().invoke(app, ["schemas", "check"])
    assert result.exit_code == 1
    assert FOLLOWED in result.stderr and "run `shutterlog schemas lock`" in result.stderr
    result = CliRunner().invoke(app, ["schemas", "check", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"well": False, "broken": {}, "unlocked": [FOLLOWED]}


def test_locking_adds_a_version_once(lock_file: Path) -> None:
    before = lock_file.read_text()
    shipped = LOCK_FILE.read_text()
    number = max(read_lock(lock_file).by_id) + 1
    result = CliRunner().invoke(app, ["schemas", "lock", "--dry-run"])
    assert (result.exit_code, result.stdout) == (0, f"would lock {FOLLOWED} version 1, id {number}\n")
    assert lock_file.read_text() == before
    result = CliRunner().invoke(app, ["schemas", "lock"])
    assert (result.exit_code, result.stdout) == (0, f"locked {FOLLOWED} version 1, id {number}\n")
    assert check(read_lock(lock_file)).well
    after = lock_file.read_text()
    result = CliRunner().invoke(app, ["schemas", "lock"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert lock_file.read_text() == after
    assert LOCK_FILE.read_text() == shipped


def test_what_may_not_be_locked_leaves_the_lock_as_it_is(lock_file: Path) -> None:
    broken = locked().text().replace('"timestamp-millis"', '"timestamp-micros"')
    lock_file.write_text(broken)
    for command in ("check", "lock"):
        result = CliRunner().invoke(app, ["schemas", command])
        assert result.exit_code == 1
        assert "logicalType changes" in result.stderr
    assert lock_file.read_text() == broken
