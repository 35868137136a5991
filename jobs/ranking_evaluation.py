"""How good a ranking is, on what was held back: AUC and calibration of each head, and NDCG beside plainer orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.ranking_past import Shown
from streams.ranking import FEATURES, HEADS, WORTH, Numbers, values

AT = 25
_DAY_MS = 86_400_000
_BINS = 10

Scores = npt.NDArray[np.floating[Any]]


def ndcg(gains: Sequence[float] | Scores, scores: Sequence[float] | Scores, at: int = AT) -> float | None:
    """NDCG of the first ``at`` by ``scores``; None where nothing is to be gained."""
    gain = np.asarray(gains, dtype=np.float64)
    discounts = 1 / np.log2(np.arange(2, min(at, len(gain)) + 2))
    ideal = float(np.sort(gain)[::-1][:at] @ discounts)
    if ideal <= 0:
        return None
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    return float(gain[order][:at] @ discounts) / ideal


def auc(truth: Scores, scores: Scores) -> float | None:
    """The area under the ROC curve; None where all are alike."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores)) if 0 < truth.sum() < len(truth) else None


def calibration_error(truth: Scores, scores: Scores) -> float:
    """How far, on average, what was said is from what came, over tenths of equally many rows."""
    order = np.argsort(scores, kind="stable")
    bins = [one for one in np.array_split(order, _BINS) if len(one)]
    return float(sum(abs(scores[one].mean() - truth[one].mean()) * len(one) for one in bins) / len(scores))


def evaluation(rows: Sequence[Shown], probabilities: Numbers) -> dict[str, Any]:
    """Of each head, and of whole sittings: what one viewer was shown on one day (UTC), in other orders."""
    done = np.array([row.done for row in rows])
    heads: dict[str, Any] = {}
    for n, head in enumerate(HEADS):
        truth, said = done[:, n].astype(np.float64), probabilities[:, n].astype(np.float64)
        area = auc(truth, said)
        heads[head] = {
            "auc": None if area is None else round(area, 4),
            "observed": round(float(truth.mean()), 5),
            "predicted": round(float(said.mean()), 5),
            "calibration_error": round(calibration_error(truth, said), 5),
        }
    gains = done @ np.array(WORTH)
    orders: dict[str, Scores] = {
        "ranked": values(probabilities),
        "chronological": np.array([row.post.post_id for row in rows], dtype=np.float64),
        "popularity": np.array([row.counted[FEATURES.index("velocity_24h")] for row in rows]),
    }
    return {"impressions": len(rows), "heads": heads, f"ndcg_at_{AT}": compared(rows, gains, orders)}


def compared(rows: Sequence[Shown], gains: Scores, orders: Mapping[str, Scores]) -> dict[str, Any]:
    """The mean NDCG of each of ``orders`` over the sittings in which anything was to be gained."""
    sittings = list(_sittings(rows))
    found: dict[str, Any] = {}
    for name, scores in orders.items():
        each = [score for one in sittings if (score := ndcg(gains[one], scores[one])) is not None]
        found[name] = round(float(np.mean(each)), 4) if each else None
        found["sittings"] = len(each)
    return found


def _sittings(rows: Sequence[Shown]) -> Iterator[list[int]]:
    of: dict[tuple[int, int], list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        of[row.viewer_id, row.at // _DAY_MS].append(n)
    yield from (one for one in of.values() if len(one) > 1)
