"""What ``simulate --json`` calls what people did."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = {
    "follows": "Followed",
    "unfollows": "Unfollowed",
    "posts": "PostSubmitted",
    "edits": "PostEdited",
    "deletes": "PostDeleted",
    "profile_changes": "ProfileChanged",
    "username_changes": "UsernameChanged",
    "deactivations": "AccountDeactivated",
    "reactivations": "AccountReactivated",
    "erasures": "AccountErased",
    "badge_changes": "BadgeChanged",
    "likes": "PostLiked",
    "unlikes": "PostUnliked",
    "comments": "CommentAdded",
    "comment_deletes": "CommentDeleted",
    "comment_pins": "CommentPinned",
    "comment_unpins": "CommentUnpinned",
    "comments_disabled": "CommentsDisabled",
    "comments_enabled": "CommentsEnabled",
    "saves": "PostSaved",
    "unsaves": "PostUnsaved",
    "shares": "PostShared",
    "collections": "CollectionMade",
    "collection_renames": "CollectionRenamed",
    "collection_deletes": "CollectionDeleted",
    "views": "PostSeen",
    "profile_visits": "ProfileVisited",
    "searches": "Searched",
    "notifications_seen": "NotificationsSeen",
    "preference_changes": "NotificationPreferencesChanged",
    "role_changes": "RoleChanged",
    "stories": "StorySubmitted",
    "story_views": "StoryViewed",
    "story_reactions": "StoryReacted",
    "story_reactions_withdrawn": "StoryReactionWithdrawn",
    "story_deletes": "StoryDeleted",
    "highlights": "HighlightMade",
    "highlight_renames": "HighlightRenamed",
    "highlight_deletes": "HighlightDeleted",
    "stories_highlighted": "StoryHighlighted",
    "stories_unhighlighted": "StoryUnhighlighted",
    "uploads": "UploadCompleted",
    "follow_requests": "FollowRequested",
    "follow_rejections": "FollowRejected",
    "followers_removed": "FollowerRemoved",
    "privacy_changes": "PrivacyChanged",
    "blocks": "Blocked",
    "unblocks": "Unblocked",
    "mutes": "Muted",
    "unmutes": "Unmuted",
}
"""Each count, and the event that it counts."""


def named(counts: Mapping[str, int]) -> dict[str, int]:
    """Every count by its name, and ``events``, their sum; ``counts`` are by the names of events."""
    done = {name: counts.get(event, 0) for name, event in NAMES.items()}
    return {"events": sum(done.values()), **done}


def found(counts: Mapping[str, int]) -> dict[str, int]:
    """As ``named``, of what occurs at all, without the sum."""
    return {name: counts[event] for name, event in NAMES.items() if counts.get(event)}
