"""``shutterlog spam``: the spam score against labelled comments, and the training of its weights."""

from __future__ import annotations

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.spam import FEATURES, SPAM_FROM, WEIGHTS, features

ROUNDS = 4000
RATE, SHRINKING = 0.5, 0.002
_Matrix = NDArray[np.float64]


class NoComments(ValueError):
    """There are no labelled comments in this folder."""


class Labelled(NamedTuple):
    """A comment, and whether people called it spam."""

    text: str
    spam: bool


def read(folder: Path) -> dict[str, list[Labelled]]:
    """The comments in each CSV file of ``folder`` that has columns CONTENT and CLASS, 1 for spam. Raises
    ``NoComments``."""
    found: dict[str, list[Labelled]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        if rows and {"CONTENT", "CLASS"} <= rows[0].keys():
            found[path.name] = [Labelled(html.unescape(row["CONTENT"]), row["CLASS"] == "1") for row in rows]
    if not found:
        raise NoComments(f"{folder} holds no CSV file with the columns CONTENT and CLASS")
    return found


def report(folder: Path, *, training: bool = False) -> dict[str, Any]:
    """What ``spam --json`` prints: ``precision`` and ``recall`` of the weights in use over all files, and of each file;
    ``unseen``: of weights trained on the other files alone, which is what to expect of comments never met. With
    ``training``, ``weights`` learned from all of them."""
    files = read(folder)
    everything = [one for comments in files.values() for one in comments]
    unseen: list[tuple[bool, bool]] = []
    for name, comments in files.items():
        others = [one for other, some in files.items() if other != name for one in some]
        if others:
            weights = train(others)
            unseen += [(one.spam, bool(said)) for one, said in zip(comments, _says(weights, comments), strict=True)]
    own = np.array(WEIGHTS)
    found: dict[str, Any] = {
        "comments": len(everything),
        **_rates(own, everything),
        "unseen": _precision_and_recall(unseen),
        "files": {name: _rates(own, comments) for name, comments in files.items()},
    }
    if training:
        learned = train(everything).round(2).tolist()
        found["weights"] = dict(zip(FEATURES, learned, strict=True))
    return found


def train(comments: Sequence[Labelled]) -> _Matrix:
    """Weights by logistic regression, the same ones each time."""
    values = np.array([features(one.text) for one in comments])
    truth = np.array([float(one.spam) for one in comments])
    weights = np.zeros(len(FEATURES))
    for _ in range(ROUNDS):
        wrong = 1 / (1 + np.exp(-(values @ weights))) - truth
        weights -= RATE * (values.T @ wrong / len(comments) + SHRINKING * weights)
    return weights


def _says(weights: _Matrix, comments: Sequence[Labelled]) -> NDArray[np.bool_]:
    values = np.array([features(one.text) for one in comments])
    said: NDArray[np.bool_] = 1000 / (1 + np.exp(-(values @ weights))) >= SPAM_FROM
    return said


def _rates(weights: _Matrix, comments: Sequence[Labelled]) -> dict[str, float]:
    said = _says(weights, comments)
    return _precision_and_recall([(one.spam, bool(spam)) for one, spam in zip(comments, said, strict=True)])


def _precision_and_recall(pairs: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    """Of (is spam, called spam)."""
    right = sum(is_spam and called for is_spam, called in pairs)
    called = sum(called for _, called in pairs)
    spam = sum(is_spam for is_spam, _ in pairs)
    return {"precision": round(right / called, 3) if called else 0.0, "recall": round(right / spam, 3) if spam else 0.0}
