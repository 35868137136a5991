"""Erasure: what has to go from where no fold reaches once a person is erased: key, sessions, names, files.

An emitter in how it runs (from Kafka's commit on, so that no replay runs it), though it writes nothing into the log:
what the log is to say of an erasure is the saga's. Everything here can be done twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import AccountErased, MediaPurged, RenditionsReady
from streams.records import Record
from streams.views import Mark, View


class Forget(NamedTuple):
    """A person is gone: their key, name, password, sessions and files have to be."""

    mark: Mark
    user_id: int


class Purge(NamedTuple):
    """A file is gone, and its renditions where nobody else has the same."""

    mark: Mark
    media_id: int
    owner_id: int


class Shown(NamedTuple):
    """A file has these renditions, by their keys in the object store."""

    mark: Mark
    media_id: int
    keys: tuple[str, ...]


Write = Forget | Purge | Shown


def project(batch: Sequence[Record]) -> list[Write]:
    """One write for each erasure, purge and rendered picture."""
    writes: list[Write] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case AccountErased():
                writes.append(Forget(mark, event.user_id))
            case MediaPurged():
                writes.append(Purge(mark, event.media_id, event.owner_id))
            case RenditionsReady():
                keys = tuple(dict.fromkeys(one.key for one in event.media.renditions))
                writes.append(Shown(mark, event.media_id, keys))
    return writes


ERASURE: View[Write] = View("erasure", ("accounts", "media"), project)
"""No fold, and a replay never runs it."""
