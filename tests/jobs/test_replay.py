"""Replay on real stores: built, compared, flipped, gone back from and dropped; and nothing of it when asked not to."""

from __future__ import annotations

import pytest

from jobs.replay_views import VIEWS
from tests.jobs.replay_world import ReplayWorld


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_is_built_anew_and_flipped(world: ReplayWorld, view: str) -> None:
    report = await world.replay(view)
    print(report.to_json())
    assert (report.differences, report.flipped, report.taken_over) == (0, True, "nobody"), list(report.lines(9))
