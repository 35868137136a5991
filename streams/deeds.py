"""Deeds: what a person did that stands, and how each is taken back once they are erased.

The saga remembers deeds by person, as ids alone. An ``AccountErased`` is answered with what takes each of them back,
said in the aggregate that it is about, as if the person said it: every view then forgets, and a replay of the log
never knows. A deed that was on its way meanwhile is answered as it arrives, and it alone: what was said of the others
may be far behind what is read now, and saying it again with each would put off the end of that. Whoever stores a deed
does so before looking for the erasure, and whoever stores an erasure before looking for deeds, so that at least one
sees both.

Follows of a person by others, requests and blocks are not stored twice: the saga's pairs say them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    Blocked,
    CollectionDeleted,
    CollectionMade,
    CollectionRenamed,
    CommentAdded,
    CommentDeleted,
    Event,
    Followed,
    FollowerRemoved,
    FollowRequested,
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    MediaPurged,
    MediaRejected,
    Muted,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostRejected,
    PostSaved,
    PostShared,
    PostSubmitted,
    PostUnliked,
    PostUnsaved,
    PostUnshared,
    ProfileChanged,
    RenditionsReady,
    RoleChanged,
    StoryDeleted,
    StoryHighlighted,
    StoryPublished,
    StoryReacted,
    StoryReactionWithdrawn,
    StoryRejected,
    StorySubmitted,
    StoryUnhighlighted,
    StoryViewed,
    StoryViewWithdrawn,
    Unblocked,
    Unfollowed,
    Unmuted,
    UploadCompleted,
    UsernameChanged,
)
from streams.causes import Cause

ACCOUNT_EVENTS = (
    AccountRegistered,
    ProfileChanged,
    UsernameChanged,
    AccountDeactivated,
    AccountReactivated,
    RoleChanged,
    BadgeChanged,
)
"""What may follow an erasure that it crossed, and is then erased anew."""


class Deed(NamedTuple):
    """Something that ``person`` did; ``about`` are the ids that taking it back needs, the same ones whenever it is
    done or taken back."""

    person: int
    kind: str
    about: tuple[int, ...]


class Done(NamedTuple):
    """A deed stands from here on, or does not."""

    deed: Deed
    stands: bool


def done_in(event: Event) -> Iterator[Done]:
    """What ``event`` says of deeds. All that is said of one deed stands in one partition."""
    match event:
        case PostLiked() | PostUnliked():
            yield _done(event.actor_id, "like", isinstance(event, PostLiked), event.post_id, event.author_id)
        case PostSaved():
            yield _done(event.actor_id, "save", True, event.post_id, event.author_id)
        case PostUnsaved(collection_id=0):
            yield _done(event.actor_id, "save", False, event.post_id, event.author_id)
        case PostShared() | PostUnshared():
            yield _done(event.actor_id, "share", isinstance(event, PostShared), event.post_id, event.author_id)
        case CommentAdded():
            about = (event.comment_id, event.post_id, event.parent_id, event.author_id)
            yield _done(event.actor_id, "comment", True, *about)
        case CommentDeleted():
            about = (event.comment_id, event.post_id, event.parent_id, event.author_id)
            yield _done(event.commenter_id, "comment", False, *about)
        case CollectionMade() | CollectionRenamed() | CollectionDeleted():
            stands = not isinstance(event, CollectionDeleted)
            yield _done(event.owner_id, "collection", stands, event.collection_id)
        case PostSubmitted() | PostPublished() | PostEdited() | PostRejected() | PostDeleted():
            yield _done(event.author_id, "post", not isinstance(event, PostDeleted), event.post_id)
        case UploadCompleted() | RenditionsReady() | MediaRejected() | MediaPurged():
            yield _done(event.owner_id, "media", not isinstance(event, MediaPurged), event.media_id)
        case Followed() | FollowRequested():
            yield _done(event.follower_id, "follow", True, event.followee_id)
        case Unfollowed() | FollowerRemoved():
            yield _done(event.follower_id, "follow", False, event.followee_id)
        case Muted() | Unmuted():
            stands = isinstance(event, Muted)
            yield _done(event.muter_id, "mute", stands, event.muted_id)
            yield _done(event.muted_id, "muted", stands, event.muter_id)
        case _:
            yield from _of_stories(event)


def _of_stories(event: Event) -> Iterator[Done]:
    match event:
        case StorySubmitted() | StoryPublished() | StoryRejected() | StoryDeleted():
            yield _done(event.author_id, "story", not isinstance(event, StoryDeleted), event.story_id)
        case StoryViewed() | StoryViewWithdrawn():
            stands = isinstance(event, StoryViewed)
            yield _done(event.actor_id, "view", stands, event.story_id, event.author_id)
        case StoryReacted() | StoryReactionWithdrawn():
            stands = isinstance(event, StoryReacted)
            yield _done(event.actor_id, "reaction", stands, event.story_id, event.author_id)
        case HighlightMade() | HighlightRenamed() | HighlightDeleted():
            stands = not isinstance(event, HighlightDeleted)
            yield _done(event.author_id, "highlight", stands, event.highlight_id)
        case StoryHighlighted() | StoryUnhighlighted():
            stands = isinstance(event, StoryHighlighted)
            yield _done(event.author_id, "kept", stands, event.highlight_id, event.story_id)


def _done(person: int, kind: str, stands: bool, *about: int) -> Done:
    return Done(Deed(person, kind, about), stands)


def arriving(event: Event) -> Iterator[Deed]:
    """The deeds that stand by ``event``, those that are kept as pairs among them."""
    match event:
        case Followed() | FollowRequested():
            yield Deed(event.followee_id, "followed", (event.follower_id,))
        case Blocked():
            yield Deed(event.blocker_id, "block", (event.blocked_id,))
            yield Deed(event.blocked_id, "blocked", (event.blocker_id,))
    yield from (done.deed for done in done_in(event) if done.stands)


def people_in(event: Event) -> Iterator[int]:
    """Those to whom ``event`` does, or of whom it says, what must not stand once they are erased."""
    if isinstance(event, (AccountErased, *ACCOUNT_EVENTS)):
        yield event.user_id
    yield from (deed.person for deed in arriving(event))


def taken_back(cause: Cause, deeds: Iterable[Deed]) -> list[Event]:
    """What takes ``deeds`` back, on behalf of ``cause``, in one order. Taking back twice is as good as once."""
    return [event for deed in sorted(deeds) for event in _taking_back(cause, deed)]


def _taking_back(cause: Cause, deed: Deed) -> Iterator[Event]:
    person, about = deed.person, deed.about
    base: dict[str, Any] = {
        "event_id": cause.event_id(0, _number(deed)),
        "at": cause.at,
        "actor_id": person,
        "trace_id": cause.trace_id,
    }
    match deed.kind:
        case "like" | "save" | "share":
            made = {"like": PostUnliked, "save": PostUnsaved, "share": PostUnshared}[deed.kind]
            yield made(**base, post_id=about[0], author_id=about[1])
        case "comment":
            comment, post, parent, author = about
            base |= {"comment_id": comment, "post_id": post, "parent_id": parent, "author_id": author}
            yield CommentDeleted(**base, commenter_id=person)
        case "collection":
            yield CollectionDeleted(**base, collection_id=about[0], owner_id=person)
        case "post":
            yield PostDeleted(**base, post_id=about[0], author_id=person)
        case "media":
            yield MediaPurged(**base, media_id=about[0], owner_id=person)
        case "follow":
            yield Unfollowed(**base, follower_id=person, followee_id=about[0])
        case "followed":
            yield FollowerRemoved(**base, follower_id=about[0], followee_id=person)
        case "block" | "blocked":
            one, other = (person, about[0]) if deed.kind == "block" else (about[0], person)
            for user in (one, other):
                yield Unblocked(**base, user_id=user, blocker_id=one, blocked_id=other)
        case "mute":
            yield Unmuted(**base, muter_id=person, muted_id=about[0])
        case "muted":
            yield Unmuted(**base, muter_id=about[0], muted_id=person)
        case "story":
            yield StoryDeleted(**base, story_id=about[0], author_id=person)
        case "view" | "reaction":
            made = StoryViewWithdrawn if deed.kind == "view" else StoryReactionWithdrawn
            yield made(**base, story_id=about[0], author_id=about[1])
        case "highlight":
            yield HighlightDeleted(**base, highlight_id=about[0], author_id=person)
        case "kept":
            yield StoryUnhighlighted(**base, highlight_id=about[0], story_id=about[1], author_id=person)
        case _:
            raise ValueError(f"nothing takes back a {deed.kind!r}")


def erased_anew(cause: Cause, person: int) -> AccountErased:
    """Said where somebody's account was spoken of after their erasure."""
    said: dict[str, Any] = {"at": cause.at, "actor_id": person, "trace_id": cause.trace_id, "user_id": person}
    return AccountErased(event_id=cause.event_id(0, person), **said)


def _number(deed: Deed) -> int:
    """A number for what the deed is about, so that ids of what one record causes differ."""
    text = f"{deed.person} {deed.kind} {deed.about}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
