"""What people look at: the topic `activity`."""

from __future__ import annotations

from schemas.event import Event

SURFACES = ("feed", "profile", "explore", "post")
"""Where a post can be seen."""


class NotificationsSeen(Event, frozen=True, kw_only=True):
    """``viewer_id`` has seen their notifications up to and including ``position``, an offset in their partition of
    ``notifications``."""

    TOPIC = "activity"
    KEY = "viewer_id"
    viewer_id: int
    position: int


class PostSeen(Event, frozen=True, kw_only=True):
    """``viewer_id`` had a post of somebody else's before their eyes, for ``dwell_ms``, at the ``rank``-th place of a
    page. Where the page came of an ``experiment``: which ``variant`` they get in it, and which ``model`` ranked the
    page; empty for none."""

    TOPIC = "activity"
    KEY = "viewer_id"
    viewer_id: int
    post_id: int
    author_id: int
    dwell_ms: int
    surface: str
    rank: int
    hashtags: list[str] = []
    place: str = ""
    experiment: str = ""
    variant: str = ""
    model: str = ""


class ProfileVisited(Event, frozen=True, kw_only=True):
    """``viewer_id`` looked at the profile of somebody else."""

    TOPIC = "activity"
    KEY = "viewer_id"
    viewer_id: int
    profile_id: int


class Searched(Event, frozen=True, kw_only=True):
    """``viewer_id`` looked for something. ``query`` is sealed."""

    TOPIC = "activity"
    KEY = "viewer_id"
    viewer_id: int
    query: bytes
    kind: str = ""
    results: int = 0
