"""Comments, saves and shares as the log says them, folded in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from schemas.events import (
    CollectionDeleted,
    CollectionMade,
    CollectionRenamed,
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
    Event,
    PostSaved,
    PostShared,
    PostUnsaved,
    PostUnshared,
)


@dataclass(slots=True)
class Comment:
    """A comment, whatever has been said of it. ``said`` is None where it was only ever deleted."""

    post_id: int
    parent_id: int
    author_id: int
    user_id: int
    said: CommentAdded | None = None
    deleted: bool = False
    wiped: bool = False
    """Deleted after it was said last."""


@dataclass
class Engagement:
    """The state that the log gives."""

    comments: dict[int, Comment] = field(default_factory=dict)
    pins: dict[tuple[int, int], int] = field(default_factory=dict)
    """(post, comment) → since when."""
    disabled: dict[int, bool] = field(default_factory=dict)
    """Posts of which somebody said whether they may be commented."""
    saves: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    """(person, post) → collection, 0 for the saved posts as such → since when."""
    shares: dict[int, set[int]] = field(default_factory=dict)
    """Post → who shared it."""
    collections: dict[tuple[int, int], tuple[bytes | None, int | None, bool]] = field(default_factory=dict)
    """(owner, collection) → name, when it was made, whether it is gone."""

    def take(self, event: Event) -> bool:
        """Fold one event; whether it is one of these."""
        match event:
            case CommentAdded():
                comment = self._comment(event, event.actor_id)
                comment.said, comment.wiped = event, False
            case CommentDeleted():
                comment = self._comment(event, event.commenter_id)
                comment.deleted = comment.wiped = True
            case CommentPinned():
                self.pins[event.post_id, event.comment_id] = event.at
            case CommentUnpinned():
                self.pins.pop((event.post_id, event.comment_id), None)
            case CommentsDisabled() | CommentsEnabled():
                self.disabled[event.post_id] = isinstance(event, CommentsDisabled)
            case PostSaved():
                kept = self.saves.setdefault((event.actor_id, event.post_id), {})
                kept[0] = kept[event.collection_id] = event.at
            case PostUnsaved():
                kept = self.saves.get((event.actor_id, event.post_id), {})
                for collection in [event.collection_id] if event.collection_id else list(kept):
                    kept.pop(collection, None)
            case PostShared():
                self.shares.setdefault(event.post_id, set()).add(event.actor_id)
            case PostUnshared():
                self.shares.get(event.post_id, set()).discard(event.actor_id)
            case CollectionMade() | CollectionRenamed() | CollectionDeleted():
                self._collection(event)
            case _:
                return False
        return True

    def _comment(self, event: CommentAdded | CommentDeleted, user: int) -> Comment:
        new = Comment(event.post_id, event.parent_id, event.author_id, user)
        return self.comments.setdefault(event.comment_id, new)

    def _collection(self, event: CollectionMade | CollectionRenamed | CollectionDeleted) -> None:
        key = (event.owner_id, event.collection_id)
        name, made_at, gone = self.collections.get(key, (None, None, False))
        match event:
            case CollectionMade():
                name, made_at = event.name, event.at
            case CollectionRenamed():
                name = event.name
            case CollectionDeleted():
                name, gone = None, True
        self.collections[key] = (name, made_at, gone)

    def is_shown(self, comment: Comment) -> bool:
        """Whether readers may see it: said and never deleted, nor what it replies to."""
        parent = self.comments.get(comment.parent_id)
        return comment.said is not None and not comment.deleted and not (parent and parent.deleted)

    def by_post(self) -> dict[int, set[int]]:
        """Post → its comments that readers may see."""
        return self._grouped(lambda comment: comment.post_id)

    def by_parent(self) -> dict[int, set[int]]:
        """Comment → the replies to it that readers may see."""
        replies = self._grouped(lambda comment: comment.parent_id)
        replies.pop(0, None)
        return replies

    def savers(self) -> dict[int, set[int]]:
        """Post → who keeps it."""
        return _grouped((post, user) for (user, post), kept in self.saves.items() if 0 in kept)

    def deleted(self) -> dict[int, set[int]]:
        """Post → its comments that are gone."""
        return _grouped((one.post_id, number) for number, one in self.comments.items() if one.deleted)

    def _grouped(self, of: Callable[[Comment], int]) -> dict[int, set[int]]:
        return _grouped((of(one), number) for number, one in self.comments.items() if self.is_shown(one))


def _grouped(pairs: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for key, member in pairs:
        found.setdefault(key, set()).add(member)
    return found
