"""Notices: an emitter that says who is to be told of what, and of what no more, in the topic ``notifications``.

One record decides alone: what it needs is in it. Who is blocked or muted is not asked here: that may change at any
time, and is decided when notices are read, streamed or pushed. Nobody is told of what they do themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    Event,
    Followed,
    FollowerRemoved,
    FollowRejected,
    FollowRequested,
    NoticeWithdrawn,
    Notified,
    PostEdited,
    PostLiked,
    PostPublished,
    PostUnliked,
    StoryReacted,
    StoryReactionWithdrawn,
    Unfollowed,
)
from streams.causes import Cause
from streams.notifications import (
    APPROVAL,
    COMMENT,
    FOLLOW,
    LIKE,
    MENTION,
    REPLY,
    REQUEST,
    STORY_REACTION,
    TAG,
    named,
)
from streams.records import Record
from streams.views import Mark, View


class Notice(NamedTuple):
    """An event to be emitted, and the place in the log of the record that asks for it."""

    mark: Mark
    event: Notified | NoticeWithdrawn


class Telling(NamedTuple):
    """``recipient_id`` is told, or no longer told, what ``actor_id`` did. See ``Notified`` for the rest."""

    stands: bool
    recipient_id: int
    actor_id: int
    kind: str
    target: int = 0
    post: int = 0
    comment: int = 0
    of_all: bool = False
    """Of all in its group, who may be others than ``actor_id``."""


class Renaming(NamedTuple):
    """Whom an edit names anew and whom no longer, by the fields of ``PostEdited``."""

    newly_mentioned: list[int]
    newly_tagged: list[int]
    unmentioned: list[int]
    untagged: list[int]


def renaming(before: Mapping[int, str], now: Mapping[int, str]) -> Renaming:
    """From ``before`` to ``now``, both as ``named`` gives them. ``before`` may be older than the post's last word, so
    that somebody is told twice, but never newer than the log: then nobody would be who has to be."""
    return Renaming(
        *(
            [person for person, kind in one.items() if kind == asked and other.get(person) != asked]
            for one, other in ((now, before), (before, now))
            for asked in (MENTION, TAG)
        )
    )


def project(batch: Sequence[Record]) -> list[Notice]:
    """What ``batch`` asks to be said, in its order."""
    notices: list[Notice] = []
    for record in batch:
        cause = Cause.of(record)
        all_of_it = tellings_of(record.event)
        tellings = (one for one in all_of_it if one.recipient_id != one.actor_id or one.of_all)
        notices += (Notice(cause.mark, _event(cause, n, telling)) for n, telling in enumerate(tellings))
    return notices


def tellings_of(event: Event) -> Iterator[Telling]:
    """Who is to be told of ``event``, or no longer told of what it undoes; the actors themselves among them."""
    match event:
        case PostLiked() | PostUnliked():
            stands, post = isinstance(event, PostLiked), event.post_id
            yield Telling(stands, event.author_id, event.actor_id, LIKE, post, post)
        case StoryReacted() | StoryReactionWithdrawn():
            # When the story is over, or deleted, is for readers to ask.
            stands = isinstance(event, StoryReacted)
            yield Telling(stands, event.author_id, event.actor_id, STORY_REACTION, event.story_id)
        case CommentAdded():
            yield from _of_comment(event)
        case CommentDeleted():
            yield from _of_deletion(event)
        case PostPublished(post_id=post):
            for person, kind in named(event.mentions, event.tagged).items():
                yield Telling(True, person, event.author_id, kind, post, post)
        case PostEdited(post_id=post):
            for stands, kind, people in (
                (False, MENTION, event.unmentioned),
                (False, TAG, event.untagged),
                (True, MENTION, event.newly_mentioned),
                (True, TAG, event.newly_tagged),
            ):
                yield from (Telling(stands, person, event.author_id, kind, post, post) for person in people)
        case Followed(follower_id=follower, followee_id=followee):
            if event.actor_id == follower and not event.source:
                yield Telling(True, followee, follower, FOLLOW)
            else:  # the followee lets them, by hand or by going public
                yield Telling(False, followee, follower, REQUEST)
                yield Telling(True, follower, followee, APPROVAL)
        case Unfollowed(follower_id=follower, followee_id=followee):
            yield Telling(False, followee, follower, FOLLOW)
            yield Telling(False, followee, follower, REQUEST)
            yield Telling(False, follower, followee, APPROVAL)
        case FollowerRemoved(follower_id=follower, followee_id=followee):
            yield Telling(False, followee, follower, FOLLOW)
            yield Telling(False, followee, follower, REQUEST)  # who only asks is removed, too
            yield Telling(False, follower, followee, APPROVAL)
        case FollowRequested(follower_id=follower, followee_id=followee) if not event.follows:
            yield Telling(True, followee, follower, REQUEST)
        case FollowRejected(follower_id=follower, followee_id=followee):
            yield Telling(False, followee, follower, REQUEST)


def _of_comment(event: CommentAdded) -> Iterator[Telling]:
    """Everybody is told once of a comment: of a reply to theirs, else of one under their post, else of a mention."""
    post, comment = event.post_id, event.comment_id
    told = {event.author_id: Telling(True, event.author_id, event.actor_id, COMMENT, post, post, comment)}
    if event.parent_id and (parent := event.parent_author_id):  # 0: who wrote did not say whose comment it answers
        told[parent] = Telling(True, parent, event.actor_id, REPLY, event.parent_id, post, comment)
    for person in event.mentions:
        told.setdefault(person, Telling(True, person, event.actor_id, MENTION, post, post, comment))
    yield from told.values()


def _of_deletion(event: CommentDeleted) -> Iterator[Telling]:
    """Readers ask whether a comment stands, so that its replies need not be known here. Who listens hears of each group
    that lost something: the post's author of one in which the replies stand too, who wrote it of all replies."""
    post, comment, by = event.post_id, event.comment_id, event.commenter_id
    yield Telling(False, event.author_id, by, COMMENT, post, post, comment)
    if event.parent_author_id:
        yield Telling(False, event.parent_author_id, by, REPLY, event.parent_id, post, comment)
    for person in event.mentions:
        yield Telling(False, person, by, MENTION, post, post, comment)
    if event.replied:
        yield Telling(False, by, event.actor_id, REPLY, comment, post, of_all=True)


def _event(cause: Cause, n: int, telling: Telling) -> Notified | NoticeWithdrawn:
    made = Notified if telling.stands else NoticeWithdrawn
    return made(
        event_id=cause.event_id(n, telling.recipient_id),
        at=cause.at,
        actor_id=telling.actor_id,
        trace_id=cause.trace_id,
        recipient_id=telling.recipient_id,
        kind=telling.kind,
        target=telling.target,
        post=telling.post,
        comment=telling.comment,
        source=cause.source(n),
    )


NOTICES: View[Notice] = View("notices", ("engagement", "graph", "posts", "stories"), project)
"""The emitter of Notified and NoticeWithdrawn. No fold: its effect is in the log, and a replay never runs it."""
