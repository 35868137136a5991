"""Counters: how many like, share and comment a post, whether you like it or keep it, and how many posts name what.

A count is the size of a set and never a number that is added to: liking twice counts once, an unlike of what was not
liked changes nothing, and no count is ever negative. A deleted post counts nothing any more, also where its deletion
stands in the log, or is applied, before a like: the two come from different topics, and any interleaving ends the same.
A comment that was deleted once is never counted again, nor are its replies.

A hashtag or a place counts the posts that are published, not deleted, and name it now: the last word of their captions
and places counts, whether or not it is said before the publication.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    PostDeleted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostSaved,
    PostShared,
    PostSubmitted,
    PostUnliked,
    PostUnsaved,
    PostUnshared,
)
from streams.records import Record
from streams.tagged_posts import names_of
from streams.views import Mark, View

LIKES = "likes"
SAVES = "saves"
SHARES = "shares"
"""People who passed a post on, each once."""
COMMENTS = "comments"
"""Of a post: its comments and their replies."""
REPLIES = "replies"
"""Of a comment."""
DEAD = "dead comments"
"""Of a post: its deleted comments, which are remembered for as long as the post stands."""


class CountMembers(NamedTuple):
    """Who is, or is not, among those who are counted as ``kind`` of the post ``of``: the last word of each in a batch.

    ``said``: member → (offset of that word, whether they are). ``mark`` is the partition and the first of the offsets;
    a sink goes by each word's own.
    """

    mark: Mark
    kind: str
    of: int
    said: dict[int, tuple[int, bool]]


class CountComment(NamedTuple):
    """The post ``of`` has this comment, a reply to ``parent`` (0 for none), unless one of the two is gone."""

    mark: Mark
    of: int
    comment: int
    parent: int


class UncountComment(NamedTuple):
    """A comment of the post ``of`` is gone for good, and with it its replies."""

    mark: Mark
    of: int
    comment: int
    parent: int


class NamePost(NamedTuple):
    """The post ``of`` names these hashtags and places, as "t:dusk" and "l:London", and no others."""

    mark: Mark
    of: int
    names: tuple[str, ...]


class ShowPost(NamedTuple):
    """The post ``of`` is published: from here on it counts for what it names."""

    mark: Mark
    of: int


class Uncount(NamedTuple):
    """The post ``of`` is gone for good: it has no counts, whatever else is said of it."""

    mark: Mark
    of: int


CounterWrite = CountMembers | CountComment | UncountComment | NamePost | ShowPost | Uncount


def project(batch: Sequence[Record]) -> list[CounterWrite]:
    """One write for the likes of each post, and so on; one for each comment, and for what becomes of each post."""
    writes: list[CounterWrite] = []
    groups: dict[tuple[str, int], CountMembers] = {}
    likes: dict[int, CountMembers] = {}

    def say(kind: str, mark: Mark, post_id: int, member: int, stands: bool) -> None:
        group = groups.get((kind, post_id))
        if group is None or group.mark.tp != mark.tp:
            group = groups[kind, post_id] = CountMembers(mark, kind, post_id, {})
            writes.append(group)
        group.said[member] = (mark.offset, stands)

    for tp, offset, _, event in batch:
        kind = type(event)
        if kind is PostLiked or kind is PostUnliked:  # most of what happens: asked first, and cheaply
            post_id: int = event.post_id  # type: ignore[attr-defined]
            group = likes.get(post_id)
            if group is None or group.mark.tp != tp:
                group = likes[post_id] = CountMembers(Mark(tp, offset), LIKES, post_id, {})
                writes.append(group)
            group.said[event.actor_id] = (offset, kind is PostLiked)
            continue
        match event:
            case CommentAdded():
                writes.append(CountComment(Mark(tp, offset), event.post_id, event.comment_id, event.parent_id))
            case CommentDeleted():
                writes.append(UncountComment(Mark(tp, offset), event.post_id, event.comment_id, event.parent_id))
            case PostSaved():
                say(SAVES, Mark(tp, offset), event.post_id, event.actor_id, True)
            case PostUnsaved(collection_id=0):
                say(SAVES, Mark(tp, offset), event.post_id, event.actor_id, False)
            case PostShared():
                say(SHARES, Mark(tp, offset), event.post_id, event.actor_id, True)
            case PostUnshared():
                say(SHARES, Mark(tp, offset), event.post_id, event.actor_id, False)
            case PostSubmitted() | PostEdited():
                writes.append(NamePost(Mark(tp, offset), event.post_id, names_of(event.hashtags, event.place)))
            case PostPublished():
                writes.append(ShowPost(Mark(tp, offset), event.post_id))
            case PostDeleted():
                writes.append(Uncount(Mark(tp, offset), event.post_id))
    return writes


COUNTERS: View[CounterWrite] = View("counters", ("engagement", "posts"), project)
