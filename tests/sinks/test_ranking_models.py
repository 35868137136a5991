"""Ranking models on disk: versions, manifests, which one is current, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from jobs.ranking_network import Network
from sinks.ranking_models import (
    CURRENT,
    MANIFEST,
    MODEL,
    Manifest,
    RankingModels,
    Unusable,
    choose,
    current_version,
    load,
    publish,
)
from streams.ranking import FEATURES, HEADS

AT = 1_760_000_000_000
SAID: dict[str, Any] = {"trained_on": {"impressions": 1}, "evaluation": {}}


def network(seed: int) -> Network:
    """Of two layers, never trained."""
    chance = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return chance.normal(size=shape).astype(np.float32)

    weights, biases = [some(len(FEATURES), 7), some(7, len(HEADS))], [some(7), some(len(HEADS))]
    return Network(some(len(FEATURES)), np.abs(some(len(FEATURES))) + 1, weights, biases, 1)


def published(folder: Path, seed: int) -> Manifest:
    return publish(folder, network(seed).onnx(), made_at=AT + seed, **SAID)


def test_what_is_written_gives_what_was_learnt(tmp_path: Path) -> None:
    made = published(tmp_path, 1)
    assert current_version(tmp_path) == made.version and made.version.startswith("20251009T085320-")
    rows = np.random.default_rng(2).normal(size=(40, len(FEATURES))).astype(np.float32)
    found = load(tmp_path, made.version).probabilities(rows)
    assert found.shape == (40, len(HEADS)) and found.dtype == np.float32
    np.testing.assert_allclose(found, network(1).probabilities(rows), atol=1e-5)
    assert load(tmp_path, made.version).probabilities(rows[:0]).shape == (0, len(HEADS))


def rewritten(path: Path, **changes: object) -> None:
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def test_what_is_not_what_its_manifest_says_is_refused(tmp_path: Path) -> None:
    version = published(tmp_path, 1).version
    place = tmp_path / version
    whole = (place / MODEL).read_bytes()
    for changes, why in (
        ({"digest": "0" * 64}, "not the one that the manifest describes"),
        ({"features": ["age"]}, "train it again"),
        ({"version": "another"}, "says that it is"),
        ({"more": 1}, "cannot be read"),
    ):
        before = (place / MANIFEST).read_bytes()
        rewritten(place / MANIFEST, **changes)
        with pytest.raises(Unusable, match=why):
            load(tmp_path, version)
        (place / MANIFEST).write_bytes(before)
    (place / MODEL).write_bytes(whole[:-9])
    with pytest.raises(Unusable, match="not the one"):
        load(tmp_path, version)
    with pytest.raises(Unusable, match="cannot be read"):
        choose(tmp_path, "never-made")
    with pytest.raises(Unusable, match="cannot be run"):
        publish(tmp_path, b"no model", made_at=AT, **SAID)
    assert current_version(tmp_path) == version


async def test_a_gateway_goes_along_and_keeps_the_last_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = RankingModels(tmp_path, seconds=0)
    assert await models.current() is None
    first, second = published(tmp_path, 1).version, published(tmp_path, 2).version

    async def settled() -> str:
        """The version after a look that begins now has ended."""
        for _ in range(2):
            await models.current()
            if models.looking is not None:
                await models.looking
        model = await models.current()
        assert model is not None
        return model.version

    assert await settled() == second
    choose(tmp_path, first)
    assert await settled() == first
    with caplog.at_level(logging.ERROR):
        (tmp_path / CURRENT).write_text("gone\n")
        assert await settled() == first
        assert await settled() == first
    assert len(caplog.records) == 1, "said once"
    (tmp_path / CURRENT).unlink()
    await models.current()
    if models.looking is not None:
        await models.looking
    assert await models.current() is None, "taken away, on purpose"


def test_a_version_that_is_current_can_be_gone_back_from(tmp_path: Path) -> None:
    first, second = published(tmp_path, 1).version, published(tmp_path, 2).version
    choose(tmp_path, first)
    assert current_version(tmp_path) == first and (tmp_path / second / MODEL).exists()
