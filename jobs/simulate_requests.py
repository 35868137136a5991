"""Which request each event of a simulated world is: one of those that need no more than one."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from jobs.api_client import ApiClient
from jobs.world import World
from schemas.events import (
    CollectionDeleted,
    CollectionRenamed,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    HighlightDeleted,
    HighlightRenamed,
    Muted,
    NotificationPreferencesChanged,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostSaved,
    PostShared,
    PostUnliked,
    PostUnsaved,
    PrivacyChanged,
    ProfileChanged,
    Searched,
    StoryDeleted,
    StoryHighlighted,
    StoryReacted,
    StoryReactionWithdrawn,
    StoryUnhighlighted,
    StoryViewed,
    Unfollowed,
    Unmuted,
)
from sinks.sealing import unseal
from streams.notifications import KINDS

_SEARCHES = {"people": "people", "hashtags": "hashtags", "places": "places", "captions": "posts", "": "people"}

Ask = tuple[str, str, dict[str, Any]]
"""Method, path below ``/api/v1``, and what else the request brings."""


class Unknown(LookupError):
    """The API has nothing for this: what it would be done to was refused."""


class Requests:
    """What is said to the API. Every method raises ``Unknown`` for what the API has not."""

    def __init__(
        self, world: World, clients: Mapping[int, ApiClient], ids: Mapping[int, int], erased: Collection[int]
    ) -> None:
        """``clients`` and ``ids`` are by the world's ids; who is ``erased`` cannot be named any more."""
        self._world, self._clients, self._ids, self._erased = world, clients, ids, erased

    def of(self, event: Event) -> Ask:
        """The one request that an event is."""
        match event:
            case PostEdited():
                body: dict[str, Any] = {
                    "caption": self.opened(event.author_id, event.caption),
                    "tagged": self.tagged(event.tagged),
                }
                body |= {"place": event.place}
                return "PATCH", f"/posts/{self.id(event.post_id)}", {"json": body}
            case PostDeleted():
                return "DELETE", f"/posts/{self.id(event.post_id)}", {}
            case PostLiked() | PostUnliked():
                method = "POST" if isinstance(event, PostLiked) else "DELETE"
                return method, f"/posts/{self.id(event.post_id)}/like", {}
            case PostShared():
                return "POST", f"/posts/{self.id(event.post_id)}/share", {}
            case PostSaved() | PostUnsaved():
                method = "POST" if isinstance(event, PostSaved) else "DELETE"
                into = f"?collection_id={self.id(event.collection_id)}" if event.collection_id else ""
                return method, f"/posts/{self.id(event.post_id)}/save{into}", {}
            case CollectionRenamed():
                named = self.name(event.owner_id, event.name)
                return "PATCH", f"/me/collections/{self.id(event.collection_id)}", {"json": named}
            case CollectionDeleted():
                return "DELETE", f"/me/collections/{self.id(event.collection_id)}", {}
            case CommentDeleted():
                return "DELETE", f"/comments/{self.id(event.comment_id)}", {}
            case CommentPinned() | CommentUnpinned():
                pinned = isinstance(event, CommentPinned)
                return on(pinned), f"/comments/{self.id(event.comment_id)}/pin", {}
            case CommentsDisabled() | CommentsEnabled():
                allowed = isinstance(event, CommentsEnabled)
                return on(allowed), f"/posts/{self.id(event.post_id)}/comments", {}
            case Searched():
                words = {"q": self.opened(event.viewer_id, event.query)}
                return "GET", f"/search/{_SEARCHES[event.kind]}", {"params": words}
            case NotificationPreferencesChanged():
                silenced, unpushed = set(event.silenced), set(event.unpushed)
                kinds = {kind: {"told": kind not in silenced, "pushed": kind not in unpushed} for kind in KINDS}
                return "PATCH", "/notifications/preferences", {"json": {"kinds": kinds}}
            case ProfileChanged():
                name, bio = self.opened(event.user_id, event.name), self.opened(event.user_id, event.bio)
                links = json.loads(self.opened(event.user_id, event.links)) if event.links else []
                return "PATCH", "/me", {"json": {"name": name, "bio": bio, "links": links}}
        return self._of_people(event) or self._of_stories(event)

    def _of_people(self, event: Event) -> Ask | None:
        match event:
            case Followed(actor_id=actor, follower_id=follower) if actor != follower:
                return "PUT", f"/me/requests/{self.person(follower)}", {}
            case Followed() | FollowRequested() | Unfollowed():
                follows = not isinstance(event, Unfollowed)
                return on(follows), f"/users/{self.person(event.followee_id)}/follow", {}
            case FollowRejected():
                return "DELETE", f"/me/requests/{self.person(event.follower_id)}", {}
            case FollowerRemoved():
                return "DELETE", f"/me/followers/{self.person(event.follower_id)}", {}
            case PrivacyChanged():
                return "PUT", "/me/privacy", {"json": {"private": event.private}}
            case Muted() | Unmuted():
                return on(isinstance(event, Muted)), f"/users/{self.person(event.muted_id)}/mute", {}
        return None

    def _of_stories(self, event: Event) -> Ask:
        match event:
            case StoryViewed():
                watched = {"watched_ms": event.watched_ms, "completed": event.completed}
                return "POST", f"/stories/{self.id(event.story_id)}/views", {"json": watched}
            case StoryReacted():
                said = {"reaction": event.reaction}
                return "PUT", f"/stories/{self.id(event.story_id)}/reaction", {"json": said}
            case StoryReactionWithdrawn():
                return "DELETE", f"/stories/{self.id(event.story_id)}/reaction", {}
            case StoryDeleted():
                return "DELETE", f"/stories/{self.id(event.story_id)}", {}
            case HighlightRenamed():
                name = self.name(event.author_id, event.name)
                return "PATCH", f"/me/highlights/{self.id(event.highlight_id)}", {"json": name}
            case HighlightDeleted():
                return "DELETE", f"/me/highlights/{self.id(event.highlight_id)}", {}
            case StoryHighlighted() | StoryUnhighlighted():
                highlight, story = self.id(event.highlight_id), self.id(event.story_id)
                put = on(isinstance(event, StoryHighlighted))
                return put, f"/me/highlights/{highlight}/stories/{story}", {}
        raise TypeError(f"nobody does {type(event).__name__}")

    def tagged(self, people: Collection[int]) -> list[str]:
        """Those who can still be tagged, as the API takes them."""
        return [str(self.person(user)) for user in people if user not in self._erased]

    def id(self, own: int) -> int:
        """The API's id of what has this one in the world."""
        if own not in self._ids:
            raise Unknown(f"the API has no {own}")
        return self._ids[own]

    def person(self, user: int) -> int:
        """The API's id of a person."""
        return self._clients[user].user_id

    def name(self, user: int, sealed: bytes) -> dict[str, str]:
        """A body that is a name alone."""
        return {"name": self.opened(user, sealed)}

    def opened(self, user: int, sealed: bytes) -> str:
        """What ``user`` wrote."""
        return unseal(self._world.person_key(user), user, sealed)


def on(stands: bool) -> str:
    """The method of what one can do and undo."""
    return "PUT" if stands else "DELETE"
