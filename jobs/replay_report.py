"""What is asked of a replay, and what it did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.verify_differences import Differences
from sinks.replay_poison import Met


@dataclass(frozen=True)
class Wishes:
    """``rate`` is in events/s while the log is read up to its end; 0 for as fast as possible. ``fresh`` drops what was
    being built and begins anew."""

    rate: float = 0.0
    fresh: bool = False
    accept_differences: bool = False


@dataclass
class ReplayReport:
    """What a replay or a rollback did. ``taken_over``: ``agents``; ``nobody``, where no worker of the view runs;
    ``late``, where the workers did not go over in time; None where nothing was flipped."""

    view: str
    was: int
    generation: int
    resumed: bool = False
    flipped: bool = False
    taken_over: str | None = None
    events: int = 0
    met: Met = field(default_factory=lambda: Met(0, 0, []))
    compared: Differences | None = None
    live_behind: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def differences(self) -> int:
        """Between the live generation and the new one."""
        return self.compared.total if self.compared else 0

    @property
    def well(self) -> bool:
        """Flipped, and somebody goes on writing it, or nobody is there to."""
        return self.flipped and self.taken_over != "late"

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints; programs read it, so it stays as it is.

        ``view``, ``was`` and ``generation`` (numbers), ``resumed``, ``flipped``, ``taken_over`` (see the class),
        ``events`` applied by this run, ``undecodable`` and ``refused`` records over the whole build, ``compared``
        subjects, ``differences``, ``notes`` (counts of what is worth knowing and not wrong), ``live_behind`` (records
        that the live generation had not applied when it was compared), ``seconds`` by step.
        """
        return {
            "view": self.view,
            "was": self.was,
            "generation": self.generation,
            "resumed": self.resumed,
            "flipped": self.flipped,
            "taken_over": self.taken_over,
            "events": self.events,
            "undecodable": self.met.undecodable,
            "refused": self.met.refused,
            "compared": self.compared.checked if self.compared else 0,
            "differences": self.differences,
            "notes": self.compared.notes if self.compared else {},
            "live_behind": self.live_behind,
            "seconds": {step: round(took, 3) for step, took in self.seconds.items()},
        }

    def lines(self, most: int) -> Iterator[str]:
        """The report for people: ``most`` differences at most."""
        for one in self.met.first:
            yield f"passed over: {one}"
        if self.met.undecodable or self.met.refused:
            yield f"{self.met.undecodable:,} records cannot be decoded, {self.met.refused:,} were refused by the view"
        if self.compared is not None:
            for sentence, _ in zip(self.compared.found.values(), range(most), strict=False):
                yield f"    {sentence}"
            if self.differences > most:
                yield f"    and {self.differences - most:,} more"
            notes = "".join(f", {count:,} {note}" for note, count in self.compared.notes.items() if count)
            yield f"{self.differences:,} differences over {self.compared.checked:,} subjects{notes}"
        if self.live_behind:
            yield f"the live generation was {self.live_behind:,} records behind the log: are its workers running?"
        if not self.flipped:
            yield (
                f"{self.view}: generation {self.was} stays live. A view that is replayed because it was wrong differs: "
                f"`shutterlog replay {self.view} --accept-differences` flips to generation {self.generation} "
                "nevertheless."
            )
            return
        yield f"{self.view}: generation {self.generation} is live, {self.was} is kept; {self.events:,} events applied"
        if self.taken_over == "nobody":
            yield f"no worker of {self.view} runs: the view stands still until its agents are started"
        if self.taken_over == "late":
            yield f"the workers of {self.view} have not gone over to generation {self.generation} yet: see their logs"
