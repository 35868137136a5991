"""What a view is: its sources and one pure function from records to writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from streams.records import Record, TopicPartition

Write = TypeVar("Write")


class Mark(NamedTuple):
    """Where in the log a write comes from; sinks skip a write whose mark is not above their fence."""

    tp: TopicPartition
    offset: int


class Upsert(NamedTuple):
    """Set ``columns`` of the row ``key`` of ``table``. A later offset wins, column by column."""

    mark: Mark
    table: str
    key: dict[str, Any]
    columns: dict[str, Any]


class Delete(NamedTuple):
    """Remove the row ``key`` of ``table``, unless it was set at a later offset. For relations only: entities keep
    a ``deleted`` column, so that deletion is final. ``key`` may be the first columns of the table's key alone: then all
    rows go that begin so."""

    mark: Mark
    table: str
    key: dict[str, Any]


class Refused(ValueError):
    """A record decodes, but this view cannot take it: it goes to the DLQ and taints the view."""


@dataclass(frozen=True)
class View(Generic[Write]):
    """A fold over the log, defined once. Live agents and replay call the same ``project``; nothing else writes it.

    Laws, for every view: applying a batch twice equals applying it once, wherever the batch boundaries fall; any
    interleaving that keeps each partition's order gives the same state to a reader; no write depends on a clock,
    on randomness or on another view.
    """

    name: str
    sources: tuple[str, ...]
    project: Callable[[Sequence[Record]], list[Write]]
