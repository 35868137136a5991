"""Readers of the table views, on a real Cassandra, fed by the projections and the sink themselves."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.events import (
    AccountDeactivated,
    AccountRegistered,
    BadgeChanged,
    Event,
    Followed,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    ProfileChanged,
    RenditionsReady,
    RoleChanged,
    Unfollowed,
    UploadCompleted,
    UsernameChanged,
)
from schemas.ids import MAX_ID
from sinks.accounts import AccountReader, AccountRow
from sinks.cassandra import Cassandra
from sinks.follows import FollowReader
from sinks.posts import PostReader
from sinks.tables import TableSink
from streams.accounts import ACCOUNTS
from streams.follows import FOLLOWS
from streams.posts import POSTS
from streams.records import Span, TopicPartition
from streams.user_posts import USER_POSTS
from streams.views import Mark, Upsert, View
from tests.streams.laws import log_of
from tests.streams.post_events import author_of, media_event, picture, post_event

POSTS_0 = TopicPartition("posts", 0)
HUGE = MAX_ID - 1
"""Ids are 63 bits wide: nothing on the way may make a float of them."""


async def fill(cassandra: Cassandra, view: View[Any], events: Sequence[Event]) -> None:
    log = log_of(events)
    sink = TableSink(cassandra, view.name, 1, dict.fromkeys(view.sources, "id"))
    writes = view.project([record for records in log.values() for record in records])
    await sink.apply(writes, {tp: Span(-1, records[-1].offset) for tp, records in log.items()})


def registered(user_id: int) -> AccountRegistered:
    return AccountRegistered(event_id=1, at=5, actor_id=user_id, user_id=user_id, username=b"u", name=b"n")


async def test_accounts(cassandra: Cassandra) -> None:
    change = ProfileChanged(event_id=1, at=9, actor_id=2, user_id=2, name=b"m", bio=b"b")
    unregistered = ProfileChanged(event_id=1, at=9, actor_id=3, user_id=3, name=b"m", bio=b"b")
    who: dict[str, Any] = {"event_id": 1, "at": 9, "actor_id": 5, "user_id": 5}
    later: list[Event] = [
        registered(5),
        ProfileChanged(**who, name=b"m", bio=b"b", links=b"l", picture=[picture(20)]),
        UsernameChanged(**who, username=b"v", previous=b"u"),
        AccountDeactivated(**who),
        RoleChanged(**who, role="moderator"),
        BadgeChanged(**who, verified=True),
    ]
    await fill(cassandra, ACCOUNTS, [registered(HUGE), registered(2), change, unregistered, *later])
    reader = AccountReader(cassandra)
    assert await reader.by_ids([2, HUGE, 3, 4, 2, 5]) == {
        5: AccountRow(5, b"v", b"m", b"b", 5, b"l", picture(20), True, "moderator", True),
        2: AccountRow(2, b"u", b"m", b"b", 5),
        HUGE: AccountRow(HUGE, b"u", b"n", b"", 5),
    }
    assert await reader.by_ids([]) == {}


async def test_more_ids_than_one_query_takes(cassandra: Cassandra) -> None:
    await fill(cassandra, ACCOUNTS, [registered(n) for n in range(1, 251)])
    assert sorted(await AccountReader(cassandra).by_ids(range(1, 300))) == list(range(1, 251))


async def test_follows(cassandra: Cassandra) -> None:
    def pair(kind: type[Followed] | type[Unfollowed], follower: int, followee: int) -> Event:
        return kind(event_id=1, at=1, actor_id=follower, follower_id=follower, followee_id=followee)

    events = [pair(Followed, n, HUGE) for n in (5, 3, 9, 7)] + [pair(Followed, 3, n) for n in (8, 4)]
    await fill(cassandra, FOLLOWS, [*events, pair(Unfollowed, 9, HUGE)])
    reader = FollowReader(cassandra)
    assert await reader.followers(HUGE, 0, 10) == [3, 5, 7]
    assert await reader.followers(HUGE, 3, 1) == [5]
    assert await reader.following(3, 0, 10) == [4, 8, HUGE]
    assert await reader.following(3, 4, 1) == [8]
    assert await reader.is_following(3, HUGE)
    assert not await reader.is_following(9, HUGE)
    assert not await reader.is_following(HUGE, 3)


async def test_posts(cassandra: Cassandra) -> None:
    events = [
        post_event(PostSubmitted, 3, 10, "a"),
        post_event(PostPublished, 3, 20, "b"),
        post_event(PostEdited, 3, 30, "c"),
        post_event(PostSubmitted, 6, 11, "a"),
        post_event(PostRejected, 6, 12, "r"),
        post_event(PostDeleted, HUGE, 9, "d"),
    ]
    await fill(cassandra, POSTS, events)
    found = await PostReader(cassandra).by_ids([3, 6, HUGE, 12])
    assert sorted(found) == [3, 6, HUGE]
    post = found[3]
    assert (post.author_id, post.media_ids, post.caption) == (author_of(3), [10], b"c")
    assert (post.submitted_at, post.edited_at, post.published_at) == (10, 30, 20)
    assert (post.media, post.rejected_code, post.deleted) == ([picture(20)], None, False)
    assert (found[6].rejected_code, found[6].rejected_reason, found[6].published_at) == ("r", "r", None)
    assert found[6].media == []
    gone = found[HUGE]
    assert (gone.author_id, gone.deleted, gone.caption, gone.media_ids) == (author_of(HUGE), True, b"", [])


async def test_media(cassandra: Cassandra) -> None:
    events = [media_event(UploadCompleted, n, 5, "u") for n in (1, 2, 3)]
    events += [media_event(RenditionsReady, 2, 7, "u"), media_event(MediaRejected, 3, 7, "bad")]
    events += [media_event(RenditionsReady, 4, 7, "u"), media_event(MediaRejected, 4, 7, "bad")]
    await fill(cassandra, POSTS, events)
    found = await PostReader(cassandra).media([1, 2, 3, 4, 5])
    assert {id_: row.status for id_, row in found.items()} == {
        1: "processing",
        2: "ready",
        3: "rejected",
        4: "ready",
    }
    assert found[2].rendered == picture(2, 7)
    assert (found[3].code, found[3].reason, found[3].owner_id) == ("bad", "bad", 7)
    assert (found[4].code, found[4].rendered) == (None, picture(4, 7))


async def posts_of_many(cassandra: Cassandra, authors: int, posts: int, live: float, seed: int) -> dict[int, list[int]]:
    """Rows of ``user_posts`` at random; returns the living ids of each author. One author wrote half of all."""
    rng = random.Random(seed)
    expected: dict[int, list[int]] = {author: [] for author in range(1, authors + 1)}
    writes = []
    for post_id in range(1, posts + 1):
        author = 1 if rng.random() < 0.5 else rng.randint(1, authors)
        if rng.random() < live:
            expected[author].append(post_id)
            columns = {"published": True}
        else:
            columns = rng.choice([{"published": True, "deleted": True}, {"deleted": True}])
        writes.append(Upsert(Mark(POSTS_0, post_id), "user_posts", {"author_id": author, "post_id": post_id}, columns))
    sink = TableSink(cassandra, USER_POSTS.name, 1, {"posts": "id"})
    await sink.apply(writes, {POSTS_0: Span(-1, posts)})
    return expected


@pytest.mark.parametrize(("authors", "live"), [(1, 0.5), (3, 0.05), (40, 0.7), (230, 0.3)])
async def test_older_is_the_merge_of_all_authors(cassandra: Cassandra, authors: int, live: float) -> None:
    expected = await posts_of_many(cassandra, authors, 1500, live, authors)
    reader = PostReader(cassandra)
    rng = random.Random(2)
    for _ in range(12):
        some = rng.sample(sorted(expected), rng.randint(1, authors))
        before, limit = rng.randint(1, 1600), rng.choice([1, 7, 20, 100])
        merged = sorted((post for author in some for post in expected[author] if post < before), reverse=True)
        assert await reader.older(some, before, limit) == merged[:limit]
    alone = sorted(expected[1], reverse=True)
    assert await reader.user_posts(1, MAX_ID, 10) == alone[:10]
    assert await reader.user_posts(1, alone[9], 10) == alone[10:20]


async def test_pages_of_older_join_without_gap_or_overlap(cassandra: Cassandra) -> None:
    expected = await posts_of_many(cassandra, 12, 600, 0.6, 4)
    reader, pages, before = PostReader(cassandra), [], MAX_ID
    while page := await reader.older(list(expected), before, 17):
        pages += page
        before = page[-1]
    assert pages == sorted((post for posts in expected.values() for post in posts), reverse=True)


async def test_older_without_authors_or_limit(cassandra: Cassandra) -> None:
    assert await PostReader(cassandra).older([], MAX_ID, 5) == []
    assert await PostReader(cassandra).older([1], MAX_ID, 0) == []
