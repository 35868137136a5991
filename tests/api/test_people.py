"""Random histories of people against a model, over every route that shows people and what they made: no leak, no wrong
count, whatever they do to each other and in whatever order.

2,000 steps in the suite. More, and other histories:

    pytest tests/api -k histories --steps 100000             # says how far it is, and the seed of each part
    pytest tests/api -k histories --steps 2000 --seed 4711   # a part that failed, again

A long history is made of parts of 2,000 steps, each with people and a seed of its own, so that a failure is had again
from its own seed alone.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from sinks.ranking_models import RankingModels, publish
from tests.api.gateway import Gateway
from tests.api.history_browsing import Browsing
from tests.api.history_world import World
from tests.api.test_ranking import FIRST_HOURS, by_affinity
from tests.patience import go_on

pytestmark = pytest.mark.asyncio(loop_scope="session")
PEOPLE, PART = 5, 2000
LOOKS = 7
"""Looks after each deed."""
FIRST_SEED = 7
EXPLORE_SECONDS = 1.0
"""Some lists of what to explore are older than what was done meanwhile, and some are not."""


async def test_random_histories(
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    publish(tmp_path, by_affinity(), made_at=FIRST_HOURS, trained_on={}, evaluation={})
    monkeypatch.setattr(gateway.stores, "ranking_models", RankingModels(tmp_path))
    for limit in ("write", "login", "comment", "export", "read", "activity"):
        monkeypatch.setattr(gateway.settings, f"{limit}_burst", 10**6)
    monkeypatch.setattr(gateway.stores.access_tokens, "seconds", 10**6)
    monkeypatch.setattr(gateway.stores.explore_lists, "_seconds", EXPLORE_SECONDS)
    seed, steps = pytestconfig.getoption("seed"), pytestconfig.getoption("steps")
    began, found, explored = time.monotonic(), 0, 0
    for part in range(-(-steps // PART)):
        one = (FIRST_SEED if seed is None else seed) + part
        try:
            browsing = await history(gateway, one, min(PART, steps - part * PART))
        except AssertionError as error:
            error.add_note(f"again: pytest tests/api -k histories --steps {PART} --seed {one}")
            raise
        found, explored = found + browsing.found, explored + browsing.explored
        go_on()
        if steps > PART:
            with capfd.disabled():
                shown = f"{browsing.found} found, {browsing.explored} explored"
                print(
                    f"\nseed {one}: good; {(part + 1) * PART} steps, {time.monotonic() - began:.0f} s; {shown}", end=""
                )
    assert steps < PART or found, "something was found"
    # What trends depends on the minute: there are histories in which nobody is shown anything.
    assert steps < 10 * PART or explored, "something was explored"


async def history(gateway: Gateway, seed: int, steps: int) -> Browsing:
    """One history of ``steps`` deeds and looks; what was searched and explored in it."""
    world = World(gateway, [await gateway.person(f"Person {n}") for n in range(PEOPLE)], random.Random(seed))
    await world.settle()
    for number in range(-(-steps // (1 + LOOKS))):
        await world.act()
        await world.look(LOOKS)
        if number % 100 == 99:
            await world.export()
    assert world.ranked > steps // 100, "ranked feeds were looked at"
    return world.browsing
