"""The bench of search in small: what it claims of typos, and the keys that machines read."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs import bench_search


def test_misspelt_usernames_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench_search, "PLACES_FILE", tmp_path / "none")
    monkeypatch.setattr(bench_search, "PLACES_MADE", 500)
    found = bench_search.run(people=3000, through=500, typed=6, misspelt=60)
    assert {"name", "figure", "unit", "yardstick", "yardstick_name", "ratio", "samples"} <= set(found)
    assert isinstance(found["typo_recall_at_5"], float) and found["typo_recall_at_5"] > 0.9
    assert isinstance(found["two_typos_recall_at_5"], float) and found["two_typos_recall_at_5"] > 0.8
    assert (found["people"], isinstance(found["samples"], int)) == (3000, True)
