"""What people look at: the topic `activity`."""

from __future__ import annotations

from schemas.event import Event


class NotificationsSeen(Event, frozen=True, kw_only=True):
    """``viewer_id`` has seen their notifications up to and including ``position``, an offset in their partition of
    ``notifications``."""

    TOPIC = "activity"
    KEY = "viewer_id"
    viewer_id: int
    position: int
