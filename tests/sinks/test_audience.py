"""What many recipients are told, decided together, is what each of them would be told alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest

from schemas.events import (
    AccountDeactivated,
    Blocked,
    CommentAdded,
    CommentDeleted,
    Event,
    Followed,
    FollowRequested,
    Muted,
    PostDeleted,
    PostPublished,
    PrivacyChanged,
    RenderedMedia,
    Source,
    StoryDeleted,
    StoryPublished,
)
from sinks.audience import Cause, RuledAudience, RuledAudiences
from sinks.cassandra import Cassandra
from sinks.comments import CommentReader
from sinks.generations import now_ms
from sinks.posts import PostReader
from sinks.relations import RelationReader
from sinks.stories import StoryReader
from streams.accounts import ACCOUNTS
from streams.comments import COMMENTS
from streams.follows import FOLLOWS
from streams.posts import POSTS
from streams.stories import STORIES
from tests.sinks.test_table_readers import fill, registered
from tests.streams.post_events import author_of, post_event

BASE: dict[str, Any] = {"event_id": 1, "at": 9}


def graph(chance: random.Random, people: Sequence[int]) -> list[Event]:
    """Who has to do with whom."""
    said: list[Event] = [PrivacyChanged(**BASE, actor_id=one, user_id=one, private=True) for one in people[::3]]
    for one, other in product(people, people):
        who: dict[str, Any] = {"actor_id": one, **BASE}
        follow: dict[str, Any] = {"follower_id": one, "followee_id": other}
        said += chance.choice(
            (
                *([],) * 4,
                [Followed(**who, **follow)],
                [FollowRequested(**who, **follow)],
                [Blocked(**who, user_id=one, blocker_id=one, blocked_id=other)],
                [Blocked(**who, user_id=other, blocker_id=one, blocked_id=other)],
                [Muted(**who, muter_id=one, muted_id=other)],
            )
            if one != other
            else ([],)
        )
    return said


async def test_many_are_told_what_each_would_be_told(cassandra: Cassandra) -> None:
    chance, posts = random.Random(5), list(range(1, 13))
    people = sorted({author_of(post) for post in posts} | set(range(900, 925)))
    await fill(cassandra, FOLLOWS, graph(chance, people))
    gone = [AccountDeactivated(**BASE, actor_id=people[1], user_id=people[1])]
    await fill(cassandra, ACCOUNTS, [*(registered(one) for one in people), *gone])
    published = [post_event(PostPublished, post, 20, "b") for post in posts]
    await fill(cassandra, POSTS, [*published, post_event(PostDeleted, 4, 30, "d")])
    comments: list[Event] = []
    for number in range(100, 170):
        where: dict[str, Any] = {
            "comment_id": number,
            "post_id": number % 7 + 1,
            "author_id": author_of(number % 7 + 1),
        }
        parent = number - 7 if number % 3 == 0 and number > 106 else 0
        comments.append(CommentAdded(**BASE, actor_id=900, **where, parent_id=parent, text=b"t"))
        if number % 5 == 0:
            comments.append(CommentDeleted(**BASE, actor_id=900, commenter_id=900, **where, parent_id=parent))
    await fill(cassandra, COMMENTS, comments)
    now = now_ms()
    stories: list[Event] = []
    for story in range(200, 206):
        # Half of them are over when it is asked, while the store holds them.
        author = people[(4, 5, 7)[story % 3]]
        whose: dict[str, Any] = {"event_id": 1, "actor_id": author, "author_id": author}
        shown: dict[str, Any] = {"media": RenderedMedia(1, 1, 1, "", "", []), "source": Source("stories", 0, story, 0)}
        stories.append(StoryPublished(**whose, at=now - story % 2 * 13 * 3_600_000, story_id=story, **shown))
    stories.append(StoryDeleted(**whose, at=now, story_id=200))
    await fill(cassandra, STORIES, stories)
    now += 12 * 3_600_000
    readers = RelationReader(cassandra), PostReader(cassandra), CommentReader(cassandra), StoryReader(cassandra)
    causes = [
        Cause(
            chance.choice(people),
            chance.choice(people),
            chance.choice((0, *posts)),
            chance.randrange(100, 175),
            chance.choice((0, 0, 0, *range(200, 207))),
            chance.choice(("", "", "", "mention", "tag")),
        )
        for _ in range(600)
    ]
    told = await RuledAudiences(*readers).told([*causes, Cause(people[0], people[0])], now)
    alone = set()
    for cause in causes:
        audience = RuledAudience(cause.recipient_id, *readers)
        if (
            not await audience.unwelcome([cause.actor_id])
            and (not cause.post or await audience.open_posts([cause.post]))
            and (not cause.named or (await audience.naming([cause.post])).get(cause.post) == cause.named)
            and await audience.standing_comments([cause.comment])
            and (not cause.story or await audience.open_stories([cause.story], now))
        ):
            alone.add(cause)
    assert told - {Cause(people[0], people[0])} == alone
    assert Cause(people[0], people[0]) in told and 10 < len(alone) < len(causes)
    assert {cause.story for cause in alone} == {0, 202, 204}


async def test_replies_stand_with_what_they_reply_to(cassandra: Cassandra) -> None:
    where: dict[str, Any] = {"post_id": 1, "author_id": 2}
    said: list[Event] = [
        CommentAdded(**BASE, actor_id=3, **where, comment_id=number, parent_id=parent, text=b"t")
        for number, parent in ((10, 0), (11, 10), (12, 10), (20, 0), (21, 20))
    ]
    said += [
        CommentDeleted(**BASE, actor_id=3, commenter_id=3, **where, comment_id=number, parent_id=parent)
        for number, parent in ((12, 10), (20, 0))
    ]
    await fill(cassandra, COMMENTS, said)
    assert await CommentReader(cassandra).standing([10, 11, 12, 20, 21, 99]) == {10, 11}


async def test_facts_of_many_viewers_are_those_of_each(cassandra: Cassandra) -> None:
    chance, people = random.Random(6), list(range(1, 31))
    await fill(cassandra, FOLLOWS, graph(chance, people))
    await fill(cassandra, ACCOUNTS, [registered(one) for one in people])
    reader = RelationReader(cassandra)
    asked: dict[int | None, list[int]] = {one: chance.sample(people, 4) for one in people}
    asked |= {None: people[:3], 5: [], 6: [6]}
    found = await reader.facts_of(asked)
    for viewer, others in asked.items():
        alone = await reader.facts(viewer, others)
        assert found[viewer] == alone
        assert set(alone.standings) == set(others)
    assert any(facts.relations for facts in found.values())


@pytest.mark.parametrize("asked", [{}, {1: []}])
async def test_nothing_is_asked_for_nobody(cassandra: Cassandra, asked: dict[int | None, list[int]]) -> None:
    assert set(await RelationReader(cassandra).facts_of(asked)) == set(asked)
