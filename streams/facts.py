"""Facts: every event of every topic, one row each, for whoever counts. Nothing is folded here; queries do that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import TOPICS, Event
from streams.records import Record
from streams.views import Mark, View


class Fact(NamedTuple):
    """An event, where the log holds it, and the broker's ``timestamp`` of it in ms, which says its month."""

    mark: Mark
    timestamp: int
    event: Event


def project(batch: Sequence[Record]) -> list[Fact]:
    """One fact for each record."""
    return [Fact(Mark(tp, offset), timestamp, event) for tp, offset, timestamp, event in batch]


FACTS: View[Fact] = View("facts", TOPICS, project)
