"""What a comparison finds: counted whole, remembered up to a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Key = TypeVar("Key", bound=tuple[Any, ...])
REMEMBERED = 1_000_000
"""Subjects, some hundred bytes each. Under load a look finds a hundred thousand that are only on their way, and has to
remember them: what the next look finds again is wrong."""


@dataclass
class Differences:
    """Of one view. ``notes`` are counts of what is worth knowing and not wrong."""

    checked: int = 0
    found: dict[Hashable, str] = field(default_factory=dict)
    """What differs → a sentence about it."""
    beyond: int = 0
    """Differences that are not in ``found``, because there were too many."""
    notes: dict[str, int] = field(default_factory=dict)

    def add(self, subject: Hashable, sentence: str) -> None:
        """One difference."""
        if subject in self.found or len(self.found) < REMEMBERED:
            self.found[subject] = sentence
        else:
            self.beyond += 1

    @property
    def total(self) -> int:
        """How many."""
        return len(self.found) + self.beyond

    def to_json(self) -> dict[str, int]:
        """Counts only; ``checked`` and ``differences`` are always there."""
        return {"checked": self.checked, "differences": self.total, **self.notes}

    def still(self, later: Differences) -> Differences:
        """What this look and a ``later`` one both found, in the words of the later one."""
        both = {subject: sentence for subject, sentence in later.found.items() if subject in self.found}
        if self.beyond or later.beyond:
            both = later.found
        return Differences(later.checked, both, later.beyond, later.notes)


async def compare(
    differences: Differences,
    table: str,
    columns: Sequence[str],
    expected: Mapping[Key, tuple[object, ...]],
    rows: AsyncIterator[tuple[Key, tuple[object, ...]]],
) -> None:
    """Compare the ``rows`` (key, values) of ``table`` with ``expected``; ``columns`` names the values."""
    missing = set(expected)
    async for key, values in rows:
        missing.discard(key)
        differences.checked += 1
        wanted = expected.get(key)
        if wanted is None:
            differences.add((table, key), f"{table}{key} is there, and the log knows nothing of it")
        elif wanted != values:
            unlike = [
                f"{column} is {_short(value)}, the log says {_short(want)}"
                for column, value, want in zip(columns, values, wanted, strict=True)
                if value != want
            ]
            differences.add((table, key), f"{table}{key}: {'; '.join(unlike)}")
    for key in missing:
        differences.checked += 1
        differences.add((table, key), f"{table}{key} is missing")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
