"""The events of the topic ``graph``: who follows, blocks and mutes whom, and who is private."""

from __future__ import annotations

from schemas.event import Event


class Followed(Event, frozen=True, kw_only=True):
    """``follower_id`` follows ``followee_id``. Said by the followee where it approves a request."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int
    source: str = ""


class Unfollowed(Event, frozen=True, kw_only=True):
    """``follower_id`` no longer follows ``followee_id``, nor asks to."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int
    source: str = ""


class FollowRequested(Event, frozen=True, kw_only=True):
    """``follower_id`` asks to follow ``followee_id``, who is private. Who follows already goes on following."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int
    source: str = ""
    follows: bool = False


class FollowRejected(Event, frozen=True, kw_only=True):
    """``followee_id`` does not let ``follower_id`` follow, who asked to. Who follows goes on following."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int
    source: str = ""


class FollowerRemoved(Event, frozen=True, kw_only=True):
    """``follower_id`` follows ``followee_id`` no longer: the followee, or the saga, wants it so."""

    TOPIC = "graph"
    KEY = "followee_id"
    follower_id: int
    followee_id: int
    source: str = ""


class Blocked(Event, frozen=True, kw_only=True):
    """``blocker_id`` blocks ``blocked_id``. Said twice in one transaction, under the key of either."""

    TOPIC = "graph"
    KEY = "user_id"
    user_id: int
    blocker_id: int
    blocked_id: int


class Unblocked(Event, frozen=True, kw_only=True):
    """``blocker_id`` no longer blocks ``blocked_id``. Said twice in one transaction, under the key of either."""

    TOPIC = "graph"
    KEY = "user_id"
    user_id: int
    blocker_id: int
    blocked_id: int


class Muted(Event, frozen=True, kw_only=True):
    """``muter_id`` does not want to see ``muted_id`` in feed and notices, who is not told."""

    TOPIC = "graph"
    KEY = "muter_id"
    muter_id: int
    muted_id: int


class Unmuted(Event, frozen=True, kw_only=True):
    """``muter_id`` wants to see ``muted_id`` again."""

    TOPIC = "graph"
    KEY = "muter_id"
    muter_id: int
    muted_id: int


class PrivacyChanged(Event, frozen=True, kw_only=True):
    """From here on ``user_id`` is private or public. Going public approves every request that waits."""

    TOPIC = "graph"
    KEY = "user_id"
    user_id: int
    private: bool
