from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import (
    CommentAdded,
    CommentDeleted,
    Event,
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
)
from streams.counters import COMMENTS, DEAD, LIKES, REPLIES, SAVES, SHARES, NamePost, Uncount, project
from streams.records import Record, TopicPartition
from tests.streams.laws import at_leisure, deliveries, log_of
from tests.streams.memory_counters import MemoryCounters
from tests.streams.post_events import SOURCE, post_events

Counted = dict[tuple[str, int], set[int]]


def liking(kind: type[PostLiked] | type[PostUnliked], post: int, user: int) -> Event:
    return kind(event_id=1, at=1, actor_id=user, post_id=post, author_id=post % 3 + 1)


def deleted(post: int) -> Event:
    author = post % 3 + 1
    return PostDeleted(event_id=1, at=1, actor_id=author, post_id=post, author_id=author)


def commenting(kind: type[CommentAdded] | type[CommentDeleted], post: int, number: int) -> Event:
    """Comment 10 to 12 of post 1, or a reply: 14 and 15 to 10, and so on."""
    comment, parent = 10 * post + number, 10 * post if number > 3 else 0
    base: dict[str, Any] = {
        "event_id": 1,
        "at": 1,
        "actor_id": 2,
        "post_id": post,
        "author_id": post % 3 + 1,
        "comment_id": comment,
    }
    if kind is CommentAdded:
        return CommentAdded(**base, parent_id=parent, text=b"")
    return CommentDeleted(**base, parent_id=parent, commenter_id=2)


def keeping(kind: type[PostSaved] | type[PostUnsaved], post: int, user: int, collection: int) -> Event:
    author = post % 3 + 1
    return kind(event_id=1, at=1, actor_id=user, post_id=post, author_id=author, collection_id=collection)


def sharing(kind: type[PostShared] | type[PostUnshared], post: int, user: int) -> Event:
    return kind(event_id=1, at=1, actor_id=user, post_id=post, author_id=post % 3 + 1)


posts, users = st.integers(1, 5), st.integers(1, 4)
histories = st.lists(
    st.builds(liking, st.sampled_from([PostLiked, PostLiked, PostUnliked]), posts, users)
    | st.builds(commenting, st.sampled_from([CommentAdded, CommentAdded, CommentDeleted]), posts, st.integers(0, 5))
    | st.builds(keeping, st.sampled_from([PostSaved, PostUnsaved]), posts, users, st.integers(0, 1))
    | st.builds(sharing, st.sampled_from([PostShared, PostShared, PostUnshared]), posts, users)
    | st.builds(deleted, posts),
    max_size=40,
)


def folded(events: Sequence[Event]) -> Counted:
    """What readers should get, from a fold of its own: the last word of each pair, of posts that are never deleted."""
    gone = {event.post_id for event in events if isinstance(event, PostDeleted)}
    last = {(e.post_id, e.actor_id): e for e in events if isinstance(e, PostLiked | PostUnliked)}
    found: Counted = {}
    for (post, user), event in last.items():
        if isinstance(event, PostLiked) and post not in gone:
            found.setdefault((LIKES, post), set()).add(user)
    kept: dict[tuple[int, int], bool] = {}
    dead = {event.comment_id for event in events if isinstance(event, CommentDeleted)}
    for e in events:
        post = getattr(e, "post_id", 0)
        if isinstance(e, PostSaved) or (isinstance(e, PostUnsaved) and not e.collection_id):
            kept[post, e.actor_id] = isinstance(e, PostSaved)
        if post in gone:
            continue
        if isinstance(e, PostShared):
            found.setdefault((SHARES, post), set()).add(e.actor_id)
        if isinstance(e, PostUnshared):
            found.get((SHARES, post), set()).discard(e.actor_id)
        if isinstance(e, CommentDeleted):
            found.setdefault((DEAD, post), set()).add(e.comment_id)
        if isinstance(e, CommentAdded) and not {e.comment_id, e.parent_id} & dead:
            found.setdefault((COMMENTS, post), set()).add(e.comment_id)
            if e.parent_id:
                found.setdefault((REPLIES, e.parent_id), set()).add(e.comment_id)
    for (post, user), keeps in kept.items():
        if keeps and post not in gone:
            found.setdefault((SAVES, post), set()).add(user)
    return {counter: members for counter, members in found.items() if members}


@at_leisure
@given(histories, st.randoms(use_true_random=False))
def test_laws(events: list[Event], rng: random.Random) -> None:
    """Rebuilt in one go, topic by topic either way round, or delivered in any way: the counts are the fold's."""
    log = log_of(events)
    for order in (sorted(log), sorted(log, reverse=True)):
        rebuilt = MemoryCounters()
        rebuilt.apply(project([record for tp in order for record in log[tp]]))
        assert rebuilt.counted() == folded(events)
    live = MemoryCounters()
    for batch in deliveries(log, rng):
        live.apply(project(batch))
    assert live.counted() == folded(events)


@pytest.mark.parametrize("remembered", [True, False])
def test_the_laws_need_the_deleted_to_be_remembered(remembered: bool) -> None:
    """A like that is applied after the deletion of its post would count again."""
    counters = MemoryCounters(frozenset() if remembered else frozenset({"gone"}))
    liked, again = log_of([liking(PostLiked, 1, 2), liking(PostLiked, 1, 3)])[TopicPartition("engagement", 1)]
    for record in (liked, *flat([deleted(1)]), again):
        counters.apply(project([record]))
    assert counters.counted() == ({} if remembered else {(LIKES, 1): {3}})


@pytest.mark.parametrize("remembered", [True, False])
def test_the_laws_need_deleted_comments_to_be_remembered(remembered: bool) -> None:
    """A client that retries what it said before it deleted the comment would have it counted again."""
    counters = MemoryCounters(frozenset() if remembered else frozenset({"dead"}))
    events = [commenting(kind, 1, 0) for kind in (CommentAdded, CommentDeleted, CommentAdded)]
    counters.apply(project(flat(events)))
    assert counters.counted().get((COMMENTS, 1)) == (None if remembered else {10})


def test_what_counts_nothing_is_left_out() -> None:
    edited = PostEdited(event_id=1, at=1, actor_id=2, post_id=1, author_id=2, caption=b"")
    rejected = PostRejected(
        event_id=1, at=1, actor_id=2, post_id=1, author_id=2, media_id=1, code="", reason="", source=SOURCE
    )
    name, write = project(flat([edited, rejected, deleted(1)]))
    assert isinstance(name, NamePost) and isinstance(write, Uncount)
    assert (name.of, name.names, write.of) == (1, (), 1)


@at_leisure
@given(st.lists(post_events, max_size=30), st.randoms(use_true_random=False))
def test_laws_of_what_posts_name(events: list[Event], rng: random.Random) -> None:
    """A post counts for what it named last, if it is published and never deleted, whatever came first."""
    tags: dict[int, set[str]] = {}
    shown: set[int] = set()
    gone: set[int] = set()
    for event in events:
        match event:
            case PostSubmitted() | PostEdited():
                tags[event.post_id] = {f"t:{tag}" for tag in event.hashtags} | {f"l:{event.place}"}
            case PostPublished():
                shown.add(event.post_id)
            case PostDeleted():
                gone.add(event.post_id)
    expected: dict[str, set[int]] = {}
    for post in shown - gone:
        for name in {""} | tags.get(post, set()):
            expected.setdefault(name, set()).add(post)
    rebuilt, live, log = MemoryCounters(), MemoryCounters(), log_of(events)
    rebuilt.apply(project(flat(events)))
    for batch in deliveries(log, rng):
        live.apply(project(batch))
    assert live.named() == rebuilt.named() == expected


def flat(events: Sequence[Event]) -> list[Record]:
    return [record for records in log_of(events).values() for record in records]
