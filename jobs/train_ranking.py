"""``shutterlog train ranking``: learns what people do with what they are shown, from the facts, and publishes a model.

What is read: impressions (PostSeen) of feeds, what came of them, and the events before them that affinity and trends
are made of. Nobody's words are read; what is learnt holds no ids. The newest fifth of the impressions is held back, and
says how good the model is; the model that is published has learnt from the others only.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jobs.ranking_evaluation import evaluation
from jobs.ranking_network import Network, fit, log_loss
from jobs.ranking_past import Shown, shown
from schemas.events import Event
from sinks.clickhouse import ClickHouse
from sinks.generations import GenerationLog, now_ms
from sinks.ranking_facts import engagement
from sinks.ranking_models import Manifest, models_folder, publish
from sinks.settings import Settings
from streams.affinity import KEPT_STEPS, STEP_MS
from streams.ranking import HEADS, Numbers, shaped

DAYS = 28
HELD_BACK = 0.2
LEAST = 500
"""Impressions: of fewer, nothing can be learnt."""


class TooFew(ValueError):
    """There is too little to learn from."""


class Learnt(NamedTuple):
    """A network, what it was made from, and how good it is on what was held back."""

    network: Network
    trained_on: dict[str, Any]
    evaluation: dict[str, Any]


def learn(rows: Sequence[Shown], *, seed: int = 1) -> Learnt:
    """Learn from the older rows and evaluate on the newest. Raises ``TooFew``."""
    rows = sorted(rows, key=lambda row: (row.at, row.viewer_id, row.post.post_id))
    if len(rows) < LEAST:
        raise TooFew(f"{len(rows)} impressions with an answer are too few to learn from: {LEAST} at least")
    cut = len(rows) - math.ceil(len(rows) * HELD_BACK)
    old, new = rows[:cut], rows[cut:]
    network = fit(matrix(old), np.array([row.done for row in old]), seed=seed)
    said = network.probabilities(matrix(new))
    found = evaluation(new, said)
    found["log_loss"] = round(log_loss(said, np.array([row.done for row in new])), 5)
    done = np.array([row.done for row in old]).sum(axis=0)
    trained_on = {
        "impressions": len(old),
        "done": {head: int(count) for head, count in zip(HEADS, done, strict=True)},
        "from": old[0].at,
        "until": old[-1].at,
        "held_back_until": new[-1].at,
        "epochs": network.epochs,
        "seed": seed,
    }
    return Learnt(network, trained_on, found)


def matrix(rows: Iterable[Shown]) -> Numbers:
    """The features of ``rows``."""
    return shaped([row.counted for row in rows])


async def events_of(settings: Settings, since: int) -> list[Event]:
    """What the facts say from ``since`` on (ms), and before it as far as affinity reaches. Raises ``StoreAway``."""
    generation = await asyncio.to_thread(live_facts, settings)
    async with await ClickHouse.connect(settings) as clickhouse:
        return await engagement(clickhouse, generation, since - KEPT_STEPS * STEP_MS)


def live_facts(settings: Settings) -> int:
    """The generation of the facts that is live. Raises ``StoreAway``."""
    return GenerationLog(settings).of("facts").live


def train(settings: Settings, *, days: int = DAYS, seed: int = 1, dry_run: bool = False) -> dict[str, Any]:
    """Learn from the impressions of the last ``days``, and make the model the current one unless ``dry_run``. What
    there is to say of it. Raises ``StoreAway``, ``TooFew`` and ``OSError``."""
    now = now_ms()
    since = now - days * 86_400_000
    rows = list(shown(asyncio.run(events_of(settings, since)), since, settings.trending_least_people))
    learnt = learn(rows, seed=seed)
    said: dict[str, Any] = {"trained_on": learnt.trained_on, "evaluation": learnt.evaluation}
    if dry_run:
        return {"version": None, **said}
    made: Manifest = publish(models_folder(settings), learnt.network.onnx(), made_at=now, **said)
    return {"version": made.version, **said}
