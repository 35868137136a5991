"""What the API acknowledged, and whether the log has it: the one promise that everything else stands on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import Event
from sinks.consistency import parse
from streams.records import TopicPartition


class Place(NamedTuple):
    """Where a record stands."""

    tp: TopicPartition
    offset: int


@dataclass(frozen=True)
class Entry:
    """One acknowledged write. ``at`` is in seconds after the run's beginning."""

    at: float
    event: str
    """The class of the event that it has to be in the log."""
    fields: Mapping[str, int]
    """What that event has to say."""
    token: str
    """The Consistency-Token of the answer; empty where a repeated request was answered without one."""

    def says(self, event: Event) -> bool:
        """Whether ``event`` is what was acknowledged."""
        return type(event).__name__ == self.event and all(
            getattr(event, name) == value for name, value in self.fields.items()
        )

    def line(self) -> str:
        """For people."""
        fields = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.event} {fields}, acknowledged at {self.at:.1f} s as {self.token or 'done before'}"


@dataclass
class Ledger:
    """Every write of a run."""

    acknowledged: list[Entry] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Writes that were answered with no, by status and kind of problem."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Writes whose connection broke or stayed silent: each may have happened."""
    doubled: list[str] = field(default_factory=list)
    """Repeated requests that were answered with another id than the first time."""
    _answers: dict[str, int] = field(default_factory=dict)

    def note(self, entry: Entry, key: str = "", made: int = 0) -> None:
        """An acknowledged write; ``made`` is the id that was answered to the Idempotency-Key ``key``."""
        self.acknowledged.append(entry)
        if key and self._answers.setdefault(key, made) != made:
            self.doubled.append(f"{key} was answered with {self._answers[key]}, and later with {made}")

    def by_event(self) -> dict[str, int]:
        """How many of each."""
        return dict(sorted(Counter(entry.event for entry in self.acknowledged).items()))


class LedgerCheck:
    """Goes through the log once and crosses off what it finds; ``lost`` is what remains."""

    def __init__(self, entries: list[Entry]) -> None:
        self._placed: defaultdict[Place, list[Entry]] = defaultdict(list)
        self._unplaced: defaultdict[str, list[Entry]] = defaultdict(list)
        self._misplaced: list[str] = []
        for entry in entries:
            token = parse(entry.token)
            if not token:
                self._unplaced[entry.event].append(entry)
            for tp, offset in token.items():
                self._placed[Place(tp, offset)].append(entry)

    def take(self, tp: TopicPartition, offset: int, at: int, event: Event) -> None:
        """A record of the log, as ``verify``'s reader gives it to its witness."""
        for entry in self._placed.pop(Place(tp, offset), ()):
            if not entry.says(event):
                self._misplaced.append(
                    f"{entry.line()}: there stands a {type(event).__name__} of another kind or person"
                )
        waiting = self._unplaced.get(type(event).__name__)
        if waiting:
            waiting[:] = [entry for entry in waiting if not entry.says(event)]

    def lost(self) -> list[str]:
        """Each acknowledged write that the log does not have."""
        left = [entry for entries in (*self._placed.values(), *self._unplaced.values()) for entry in entries]
        left.sort(key=lambda entry: entry.at)
        return [*self._misplaced, *(f"{entry.line()}: not in the log" for entry in left)]
