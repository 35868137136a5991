"""The events of the topic ``media``: what became of an uploaded file."""

from __future__ import annotations

from schemas.event import Event, RenderedMedia, Source


class UploadCompleted(Event, frozen=True, kw_only=True):
    """An original stands in the object store at ``original_key``. ``sha256`` is hexadecimal, ``size`` in bytes."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    original_key: str
    content_type: str
    size: int
    sha256: str


class RenditionsReady(Event, frozen=True, kw_only=True):
    """Every rendition of a picture stands in the object store."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    media: RenderedMedia
    source: Source


class MediaRejected(Event, frozen=True, kw_only=True):
    """A file cannot become a picture. ``code`` is stable for machines, ``reason`` a sentence for the person."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
    code: str
    reason: str
    source: Source


class MediaPurged(Event, frozen=True, kw_only=True):
    """A file and all its renditions are gone for good, whatever else the log says of them."""

    TOPIC = "media"
    KEY = "media_id"
    media_id: int
    owner_id: int
