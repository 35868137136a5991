"""Versions of a model on disk: whole or not at all, and gateways that go on without a broken one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from jobs.co_engagement import fitted
from sinks import co_engagement
from sinks.co_engagement import KEPT, CurrentModel, ModelBroken, read, write
from streams.co_engagement import Model, Taste


def made(last: int = 4) -> Model:
    return fitted({1: [10, 20, 30], 2: [10, 20], 3: [20, 30, 10 * last]}, Taste(3.0, 0.3))


def test_a_version_comes_back_as_it_was_and_old_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    assert read(folder) is None
    model = made()
    versions = [write(folder, model, 1_700_000_000_000 + n, {"rows": 8}) for n in range(KEPT + 2)]
    assert len(set(versions)) == KEPT + 2
    found = read(folder)
    assert found is not None and (found.version, found.at) == (versions[-1], 1_700_000_000_000 + KEPT + 1)
    assert found.model.taste == model.taste
    for name in ("posts", "neighbours", "weights", "factors", "people", "tastes", "starts", "history"):
        assert np.array_equal(getattr(found.model, name), getattr(model, name))
    assert found.model.recommend(2, 5) == model.recommend(2, 5) != []
    assert sorted(one.name for one in folder.iterdir()) == sorted([*versions[-KEPT:], "current"])
    with pytest.raises(ValueError, match="read-only"):
        found.model.factors[0] = 0  # mapped for reading


async def test_a_gateway_follows_the_pointer_and_goes_on_without_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(co_engagement, "LOOK_SECONDS", 0.0)
    current = CurrentModel(tmp_path)
    assert await current.get() is None
    first = write(tmp_path, made(), 1, {})
    one = await current.get()
    assert one is not None and one.version == first and await current.get() is one
    second = write(tmp_path, made(5), 2, {})
    other = await current.get()
    assert other is not None and other.version == second
    third = write(tmp_path, made(6), 3, {})
    (tmp_path / third / "factors.npy").write_bytes(b"torn")
    with pytest.raises(ModelBroken, match=r"factors.npy is not what"):
        read(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert await current.get() is None and await current.get() is None
    assert len([line for line in caplog.messages if "goes on without its model" in line]) == 1
    (tmp_path / "current").write_text("../elsewhere\n")
    with pytest.raises(ModelBroken, match="names no version"):
        read(tmp_path)
    (tmp_path / "current").write_text(first + "\n")
    again = await current.get()
    assert again is not None and again.version == first
