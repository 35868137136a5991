"""The events of the topic ``notifications``: what a person is told."""

from __future__ import annotations

from schemas.event import Event, Source


class UploadFailed(Event, frozen=True, kw_only=True):
    """A notice to ``recipient_id``: their file was refused. ``post_id`` is 0 where no post waited for it."""

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    media_id: int
    post_id: int
    code: str
    reason: str
    source: Source
