"""What ``explain-feed`` says: a reason for each post, with the places in the log that it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from streams.views import Mark

Why = Literal[
    "pushed",
    "pulled",
    "cassandra",
    "hidden",
    "unknown",
    "deleted",
    "rejected",
    "processing",
    "not_followed",
    "late",
    "difference",
]
"""The first three are of posts that are shown; ``difference`` is of one that should be, and is not."""


class Reason(NamedTuple):
    """Why a post is in the feed, or is not. ``marks`` are the places in the log that say so, by what they say."""

    post_id: int
    author_id: int | None
    shown: bool
    why: Why
    sentence: str
    marks: dict[str, Mark]

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "post_id": str(self.post_id),
            "author_id": None if self.author_id is None else str(self.author_id),
            "shown": self.shown,
            "why": self.why,
            "sentence": self.sentence,
            "log": {what: place(mark) for what, mark in self.marks.items()},
        }


@dataclass
class Report:
    """A feed, explained. ``floor`` is 0 where Redis holds all of it."""

    user_id: int
    generation: int
    floor: int = 0
    asleep: bool = False
    reasons: list[Reason] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """Posts that should be there and are not."""
        return sum(reason.why == "difference" for reason in self.reasons)

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "user_id": str(self.user_id),
            "generation": self.generation,
            "floor": str(self.floor),
            "asleep": self.asleep,
            "differences": self.differences,
            "posts": [reason.to_json() for reason in self.reasons],
        }

    def lines(self) -> Iterator[str]:
        """The report for people."""
        rest = "it is asleep: all of it comes from Cassandra" if self.asleep else f"its floor is {self.floor}"
        yield f"feed of {self.user_id}, generation {self.generation}; {rest}"
        for reason in self.reasons:
            yield f"{'+' if reason.shown else '-'} {reason.post_id} {reason.sentence}"


def place(mark: Mark) -> str:
    """A place in the log: ``topic-partition@offset``."""
    return f"{mark.tp}@{mark.offset}"
