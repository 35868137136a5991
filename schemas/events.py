"""The events, one class for each record of the ``*.avsc`` files: all of them, each topic from its own module.

An event says in the past tense what happened to one aggregate. It carries what every fold over it needs, so
that no projection has to read another view. ``tests/schemas`` holds these classes and the Avro files equal.
"""

from __future__ import annotations

from schemas.event import Event, RenderedMedia, Rendition, Source
from schemas.events_accounts import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    ProfileChanged,
    RoleChanged,
    UsernameChanged,
)
from schemas.events_activity import NotificationsSeen
from schemas.events_engagement import PostLiked, PostUnliked
from schemas.events_graph import (
    Blocked,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    Muted,
    PrivacyChanged,
    Unblocked,
    Unfollowed,
    Unmuted,
)
from schemas.events_media import MediaRejected, RenditionsReady, UploadCompleted
from schemas.events_notifications import (
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    Notified,
    UploadFailed,
)
from schemas.events_posts import PostDeleted, PostEdited, PostPublished, PostRejected, PostSubmitted

EVENTS: tuple[type[Event], ...] = (
    AccountRegistered,
    ProfileChanged,
    UsernameChanged,
    AccountDeactivated,
    AccountReactivated,
    RoleChanged,
    BadgeChanged,
    AccountErased,
    Followed,
    Unfollowed,
    FollowRequested,
    FollowRejected,
    FollowerRemoved,
    Blocked,
    Unblocked,
    Muted,
    Unmuted,
    PrivacyChanged,
    UploadCompleted,
    RenditionsReady,
    MediaRejected,
    PostSubmitted,
    PostPublished,
    PostRejected,
    PostEdited,
    PostDeleted,
    PostLiked,
    PostUnliked,
    UploadFailed,
    Notified,
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    NotificationsSeen,
)
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(event.TOPIC for event in EVENTS))
"""The source topics and ``notifications``, in the order in which provisioning makes them."""

__all__ = [
    "AccountDeactivated",
    "AccountErased",
    "AccountReactivated",
    "AccountRegistered",
    "BadgeChanged",
    "Blocked",
    "EVENTS",
    "Event",
    "FollowRejected",
    "FollowRequested",
    "Followed",
    "FollowerRemoved",
    "MediaRejected",
    "Muted",
    "NoticeWithdrawn",
    "NotificationPreferencesChanged",
    "NotificationsSeen",
    "Notified",
    "PostDeleted",
    "PostEdited",
    "PostLiked",
    "PostPublished",
    "PostRejected",
    "PostSubmitted",
    "PostUnliked",
    "PrivacyChanged",
    "ProfileChanged",
    "RenderedMedia",
    "Rendition",
    "RenditionsReady",
    "RoleChanged",
    "Source",
    "TOPICS",
    "Unblocked",
    "Unfollowed",
    "Unmuted",
    "UploadCompleted",
    "UploadFailed",
    "UsernameChanged",
]
