"""What all events are, and the records that several of them hold."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Source(msgspec.Struct, frozen=True, gc=False):
    """The record an emitted event came from; ``n`` numbers the events that one record caused."""

    topic: str
    partition: int
    offset: int
    n: int


class Rendition(msgspec.Struct, frozen=True, gc=False):
    """One stored size of a picture. ``name`` is the nominal bound in pixels; ``key`` its place in the object store."""

    name: int
    width: int
    height: int
    key: str
    bytes: int


class RenderedMedia(msgspec.Struct, frozen=True):
    """A picture with all its renditions; ``width`` and ``height`` are those of the upright original, in pixels."""

    media_id: int
    width: int
    height: int
    blurhash: str
    average_color: str
    renditions: list[Rendition]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What all events carry. ``at`` is event time in ms since 1970, never later than the broker's."""

    TOPIC: ClassVar[str]
    KEY: ClassVar[str]
    """Name of the field whose value is the record's key."""

    event_id: int
    at: int
    actor_id: int
    trace_id: str = ""

    @property
    def key(self) -> bytes:
        """The record's key: the aggregate's id as decimal digits."""
        return b"%d" % getattr(self, self.KEY)
