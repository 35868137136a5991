"""What a comparison beside a busy log cannot judge: what the log said of a subject while it was compared."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

import msgspec

from jobs.verify_differences import Differences
from schemas.events import Event
from schemas.ids import MIN_ID

_TAGS = ("hashtags", "post_hashtags")
MOVING = "moving"
"""The note that counts them."""


class Touched:
    """The ids of everything that events speak of, and the hashtags and places, as trends name them."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._names: set[object] = set()

    def take(self, event: Event, offset: int, timestamp: int = 0) -> None:
        """Whatever ``event`` names is touched, its own id aside."""
        self._ids.update(_ids(msgspec.structs.astuple(event)[1:]))
        self._names.update(f"t:{tag}" for field in _TAGS for tag in getattr(event, field, ()))
        self._names.add(f"l:{getattr(event, 'place', '')}")

    def has(self, subject: Hashable) -> bool:
        """Whether ``subject`` is about something touched."""
        named = isinstance(subject, tuple) and not self._names.isdisjoint(one for one in subject if one.__hash__)
        return named or not self._ids.isdisjoint(_ids(subject))


def settled(found: Differences, touched: Touched) -> Differences:
    """``found`` without the subjects that were ``touched`` between the end that the log was folded to and the moment
    after the comparison: the view may have been ahead of the fold there. They are counted in a note."""
    still = {subject: why for subject, why in found.found.items() if not touched.has(subject)}
    moving = len(found.found) - len(still)
    return replace(found, found=still, notes={**found.notes, MOVING: moving}) if moving else found


def _ids(value: object) -> Iterator[int]:
    if isinstance(value, int):
        if value >= MIN_ID:
            yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _ids(one)
