"""Whatever an erased person did is taken back, whatever passed what on its way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from jobs.verify_owed import entailments
from schemas.events import (
    AccountErased,
    AccountRegistered,
    Blocked,
    CollectionMade,
    CommentAdded,
    Event,
    Followed,
    FollowRequested,
    HighlightMade,
    Muted,
    PostEdited,
    PostLiked,
    PostPublished,
    PostSaved,
    PostShared,
    PostSubmitted,
    PostUnliked,
    ProfileChanged,
    RenderedMedia,
    Rendition,
    RenditionsReady,
    Source,
    StoryHighlighted,
    StoryPublished,
    StoryReacted,
    StoryViewed,
    Unfollowed,
    UploadCompleted,
)
from sinks.emitter import MemoryCommits
from sinks.saga import SagaSink
from tests.streams.saga_memory import Log
from tests.streams.test_saga import BASE, World, block, pair, privacy, whole

GONE, OTHER, THIRD = 11, 12, 13
SOURCE = Source("media", 0, 1, 0)
MEDIA = RenderedMedia(50, 8, 8, "blur", "#000000", [Rendition(150, 8, 8, "r/aa/aa.jpg", 10)])


def by(person: int) -> dict[str, Any]:
    return {**BASE, "actor_id": person}


def erased(person: int = GONE) -> Event:
    return AccountErased(**by(person), user_id=person)


def everything(person: int, other: int) -> list[list[Event]]:
    """Each thing that a person can do to another, or another to them; the events of one go together."""
    me, them = by(person), by(other)
    theirs: dict[str, Any] = {"post_id": 100, "author_id": other}
    mine: dict[str, Any] = {"post_id": 200 + person, "author_id": person}
    comment: dict[str, Any] = {"text": b"sealed", "mentions": [THIRD]}
    tale: dict[str, Any] = {"story_id": 300, "author_id": other}
    own_tale: dict[str, Any] = {"story_id": 400 + person, "author_id": person}
    upload: dict[str, Any] = {"media_id": 500 + person, "owner_id": person}
    said: dict[str, Any] = {"original_key": "k", "content_type": "image/jpeg", "size": 1, "sha256": "00"}
    return [
        [AccountRegistered(**me, user_id=person, username=b"u", name=b"n")],
        [ProfileChanged(**me, user_id=person, name=b"n", bio=b"b", picture=[MEDIA])],
        [pair(Followed, person, other)],
        [pair(Followed, other, person)],
        [privacy(True, person), pair(FollowRequested, other, person)],
        [privacy(True, other), pair(FollowRequested, person, other)],
        block(Blocked, person, other),
        block(Blocked, other, person),
        [Muted(**me, muter_id=person, muted_id=other)],
        [Muted(**them, muter_id=other, muted_id=person)],
        [PostLiked(**me, **theirs)],
        [PostSaved(**me, **theirs)],
        [PostShared(**me, **theirs)],
        [CommentAdded(**me, **theirs, **comment, comment_id=600 + person)],
        [CommentAdded(**me, **mine, **comment, comment_id=700 + person, parent_id=5, parent_author_id=other)],
        [CollectionMade(**me, collection_id=800 + person, owner_id=person, name=b"c")],
        [PostSubmitted(**me, **mine, media_ids=[1], caption=b"c", hashtags=["t"], place="p")],
        [PostPublished(**me, **mine, media=[MEDIA], source=SOURCE)],
        [PostEdited(**me, **mine, caption=b"d")],
        [UploadCompleted(**me, **upload, **said)],
        [RenditionsReady(**me, **upload, media=MEDIA, source=SOURCE)],
        [StoryPublished(**me, **own_tale, media=MEDIA, source=SOURCE)],
        [StoryViewed(**me, **tale)],
        [StoryReacted(**me, **tale, reaction="x")],
        [HighlightMade(**me, highlight_id=900 + person, author_id=person, name=b"h")],
        [StoryHighlighted(**me, **own_tale, highlight_id=900 + person, published_at=1, media=MEDIA)],
    ]


def settled(world: World) -> list[tuple[str, str]]:
    asyncio.run(world.settle())
    return entailments(world.fold()).wrong


@pytest.mark.parametrize("n", range(len(everything(GONE, OTHER))))
def test_each_thing_is_taken_back(n: int) -> None:
    world = World()
    world.say(*everything(GONE, OTHER)[n])
    asyncio.run(world.settle())
    before = entailments(world.fold())
    assert before.wrong == []
    world.say(erased())
    assert entailments(world.fold()).wrong != [] or n in (0, 1), "the fold would not notice"
    assert settled(world) == []


@pytest.mark.parametrize("n", range(len(everything(GONE, OTHER))))
def test_each_thing_that_comes_after_is_taken_back(n: int) -> None:
    world = World()
    world.say(erased())
    asyncio.run(world.settle())
    world.say(*everything(GONE, OTHER)[n])
    assert settled(world) == []


def test_what_others_did_among_themselves_stays() -> None:
    world = World()
    world.say(*(event for events in everything(OTHER, THIRD) for event in events if not isinstance(event, Blocked)))
    asyncio.run(world.settle())
    said = len([record for records in world.log.records.values() for record in records])
    world.say(erased())
    assert settled(world) == []
    assert len([record for records in world.log.records.values() for record in records]) == said + 1


def test_the_saga_comes_to_rest_and_says_nothing_twice() -> None:
    world = World()
    world.say(*(event for events in everything(GONE, OTHER) for event in events), erased())
    asyncio.run(world.settle())
    before = [record for records in world.log.records.values() for record in records]
    world.say(erased())
    assert settled(world) == []
    after = [record for records in world.log.records.values() for record in records]
    assert len(after) == len(before) + 1, "all of it was taken back already"


@pytest.mark.parametrize("seed", range(150))
def test_whatever_passes_what_and_whoever_ends_nothing_stands(seed: int) -> None:
    rng = random.Random(seed)
    people = [GONE, OTHER, THIRD]
    doings: list[Callable[[], list[Event]]] = [
        lambda: rng.choice(everything(*rng.sample(people, 2))),
        lambda: [pair(rng.choice([Followed, Unfollowed]), *rng.sample(people, 2))],
        lambda: [erased(rng.choice([GONE, OTHER]))] if rng.random() < 0.3 else [],
    ]

    async def live() -> World:
        world = World(rng)
        for _ in range(rng.randint(1, 25)):
            world.say(*rng.choice(doings)())
            if rng.random() < 0.3:
                await world.run(3)
        world.say(erased())
        await world.settle()
        return world

    assert entailments(asyncio.run(live()).fold()).wrong == []


def test_what_comes_late_takes_back_itself_and_nothing_of_before() -> None:
    """What was said at the erasure may be read much later, where there is much to do: it must not grow by then."""
    world, held = World(), Log()
    world.say(*(PostLiked(**by(GONE), post_id=n, author_id=OTHER) for n in (1, 2, 3)), erased())

    asyncio.run(SagaSink(world.memory, held, MemoryCommits()).apply(*whole(world)))
    assert taken(held) == [1, 2, 3]
    late = World()
    late.say(PostLiked(**by(GONE), post_id=4, author_id=OTHER))
    asyncio.run(SagaSink(world.memory, held, MemoryCommits()).apply(*whole(late)))
    assert taken(held) == [1, 2, 3, 4]


def taken(log: Log) -> list[int]:
    records = [record for records in log.records.values() for record in records]
    return sorted(record.event.post_id for record in records if isinstance(record.event, PostUnliked))
