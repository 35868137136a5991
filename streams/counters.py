"""Counters: how many like a post, and whether one of them is you.

A count is the size of a set and never a number that is added to: liking twice counts once, an unlike of what was not
liked changes nothing, and no count is ever negative. A deleted post counts nothing any more, also where its deletion
stands in the log, or is applied, before a like: the two come from different topics, and any interleaving ends the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import PostDeleted, PostLiked, PostUnliked
from streams.records import Record
from streams.views import Mark, View

LIKES = "likes"


class CountMember(NamedTuple):
    """From here on ``member`` is, or is not, among those who are counted as ``kind`` of the post ``of``."""

    mark: Mark
    kind: str
    of: int
    member: int
    stands: bool


class Uncount(NamedTuple):
    """The post ``of`` is gone for good: it has no counts, whatever else is said of it."""

    mark: Mark
    of: int


CounterWrite = CountMember | Uncount


def project(batch: Sequence[Record]) -> list[CounterWrite]:
    """One write for each like, each unlike and each deletion of a post."""
    writes: list[CounterWrite] = []
    for tp, offset, _, event in batch:
        match event:
            case PostLiked() | PostUnliked():
                stands = isinstance(event, PostLiked)
                writes.append(CountMember(Mark(tp, offset), LIKES, event.post_id, event.actor_id, stands))
            case PostDeleted():
                writes.append(Uncount(Mark(tp, offset), event.post_id))
    return writes


COUNTERS: View[CounterWrite] = View("counters", ("engagement", "posts"), project)
