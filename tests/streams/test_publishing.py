"""The publisher loses no post, publishes none too early and none after its deletion, whatever passes what."""

from __future__ import annotations

import random
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import (
    Event,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    RenditionsReady,
    Source,
    Sticker,
    StoryDeleted,
    StoryPublished,
    StoryRejected,
    StorySubmitted,
    UploadCompleted,
)
from schemas.ids import MAX_ID, MIN_ID, made_at
from streams.causes import Cause
from streams.publishing import PUBLISHER, Memory, join, project
from streams.records import Record, TopicPartition
from tests.streams.post_events import author_of, media_event, picture, post_event
from tests.streams.publishing_memory import MemoryInMemory, Turn

NOW = 1_780_000_000_000
POSTS = TopicPartition("posts", 0)
MEDIA = TopicPartition("media", 0)
STORIES = TopicPartition("stories", 0)


def submitted(post_id: int, media_ids: Sequence[int]) -> PostSubmitted:
    author = author_of(post_id)
    return PostSubmitted(
        event_id=1,
        at=1,
        actor_id=author,
        trace_id="trace",
        post_id=post_id,
        author_id=author,
        media_ids=list(media_ids),
        caption=b"",
    )


def deleted(post_id: int) -> Event:
    return post_event(PostDeleted, post_id, 1, "a")


def ready(media_id: int) -> Event:
    return media_event(RenditionsReady, media_id, media_id, "a")


def rejected(media_id: int) -> Event:
    return media_event(MediaRejected, media_id, 1, "undecodable")


def records(tp: TopicPartition, events: Sequence[Event], first: int = 0) -> list[Record]:
    return [Record(tp, first + n, NOW + first + n, event) for n, event in enumerate(events)]


def run(coroutine: Coroutine[Any, Any, list[Event]]) -> list[Event]:
    """To its end, with nobody else running."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as end:
            events: list[Event] = end.value
            return events


def joined(memory: Memory, batch: Sequence[Record]) -> list[Event]:
    return run(join(project(batch), memory))


def test_a_post_is_published_with_its_media_in_its_own_order() -> None:
    memory = MemoryInMemory()
    assert joined(memory, records(POSTS, [submitted(4, [12, 11, 12])])) == []
    assert joined(memory, records(MEDIA, [ready(11)])) == []
    assert joined(memory, records(MEDIA, [ready(12)], first=7)) == [
        PostPublished(
            event_id=Cause.of(records(MEDIA, [ready(12)], first=7)[0]).event_id(0, 4),
            at=NOW + 7,
            actor_id=author_of(4),
            post_id=4,
            author_id=author_of(4),
            media=[picture(12, 12), picture(11, 11), picture(12, 12)],
            source=Source(topic="media", partition=0, offset=7, n=0),
        )
    ]


def test_media_can_be_ready_before_the_post() -> None:
    memory = MemoryInMemory()
    assert joined(memory, records(MEDIA, [ready(11), ready(12)])) == []
    (event,) = joined(memory, records(POSTS, [submitted(4, [11, 12])], first=3))
    assert isinstance(event, PostPublished)
    assert event.source == Source(topic="posts", partition=0, offset=3, n=0)
    assert event.trace_id == "trace"


def test_one_media_publishes_every_post_that_waits_for_it() -> None:
    memory = MemoryInMemory()
    joined(memory, records(POSTS, [submitted(post, [11]) for post in (6, 5, 4)]))
    events = joined(memory, records(MEDIA, [ready(11)]))
    assert [(event.post_id, event.source.n) for event in events if isinstance(event, PostPublished)] == [
        (4, 0),
        (5, 1),
        (6, 2),
    ]
    assert len({event.event_id for event in events}) == 3


def test_one_batch_with_both_sides_publishes_once() -> None:
    batch = [*records(MEDIA, [ready(11)]), *records(POSTS, [submitted(4, [11])])]
    assert [type(event) for event in joined(MemoryInMemory(), batch)] == [PostPublished]


def test_a_refused_media_rejects_its_posts_and_says_why() -> None:
    memory = MemoryInMemory()
    joined(memory, records(MEDIA, [ready(11)]))
    joined(memory, records(POSTS, [submitted(4, [11, 12])]))
    (event,) = joined(memory, records(MEDIA, [rejected(12)], first=1))
    assert isinstance(event, PostRejected)
    assert (event.post_id, event.media_id, event.code, event.actor_id) == (4, 12, "undecodable", author_of(4))


def test_a_media_that_was_refused_and_rendered_is_ready() -> None:
    memory = MemoryInMemory()
    joined(memory, records(MEDIA, [ready(11), rejected(11)]))
    assert [type(event) for event in joined(memory, records(POSTS, [submitted(4, [11])]))] == [PostPublished]


@pytest.mark.parametrize("event", [deleted(4), submitted(4, [11])])
def test_a_deleted_post_is_neither_published_nor_rejected(event: Event) -> None:
    memory = MemoryInMemory()
    joined(memory, records(POSTS, [event]))
    joined(memory, records(POSTS, [submitted(4, [11]), deleted(4)], first=1))
    assert joined(memory, records(MEDIA, [ready(11)])) == []
    assert joined(memory, records(POSTS, [submitted(4, [11])], first=3)) == []
    assert joined(memory, records(MEDIA, [rejected(11)])) == []


def test_a_retry_says_the_very_same() -> None:
    memory = MemoryInMemory()
    joined(memory, records(POSTS, [submitted(4, [11]), submitted(5, [11])]))
    batch = records(MEDIA, [ready(11)])
    assert joined(memory, batch) == joined(memory, batch) != []


def test_all_other_events_are_passed_over() -> None:
    others = [
        *records(POSTS, [post_event(kind, 4, 1, "a") for kind in (PostPublished, PostRejected, PostEdited)]),
        *records(MEDIA, [media_event(UploadCompleted, 11, 1, "a")]),
    ]
    assert project(others) == []
    assert PUBLISHER.sources == ("posts", "media", "stories")


def test_a_story_waits_for_its_picture_as_a_post_does_and_keeps_its_trimmings() -> None:
    said: dict[str, Any] = {"event_id": 1, "at": 1, "actor_id": 9, "trace_id": "trace", "author_id": 9}
    sticker = Sticker(kind="text", x=1, y=2, content=b"c")
    story = StorySubmitted(**said, story_id=5, media_id=11, stickers=[sticker], music="m")
    memory = MemoryInMemory()
    assert joined(memory, records(STORIES, [story])) == []
    joined(memory, records(POSTS, [submitted(4, [11])]))
    post, published = joined(memory, records(MEDIA, [ready(11)], first=7))
    assert isinstance(post, PostPublished) and isinstance(published, StoryPublished)
    assert (published.story_id, published.author_id, published.actor_id, published.at) == (5, 9, 9, NOW + 7)
    assert (published.media, published.stickers, published.music) == (picture(11, 11), [sticker], "m")
    assert published.source == Source(topic="media", partition=0, offset=7, n=1)
    # The other way round; refused; deleted before it was ever seen.
    (again,) = joined(memory, records(STORIES, [msgspec.structs.replace(story, story_id=6)], first=1))
    assert isinstance(again, StoryPublished) and again.trace_id == "trace"
    joined(memory, records(MEDIA, [rejected(12)]))
    (refused,) = joined(memory, records(STORIES, [msgspec.structs.replace(story, story_id=7, media_id=12)], first=2))
    assert isinstance(refused, StoryRejected)
    assert (refused.story_id, refused.media_id, refused.code) == (7, 12, "undecodable")
    joined(memory, records(STORIES, [StoryDeleted(**said, story_id=8)], first=3))
    assert joined(memory, records(STORIES, [msgspec.structs.replace(story, story_id=8)], first=4)) == []


def test_ids_are_snowflakes_of_the_cause() -> None:
    cause = Cause.of(records(MEDIA, [ready(11)], first=5)[0])
    ids = {cause.event_id(n, subject) for n in range(3) for subject in range(100)}
    assert len(ids) == 300
    assert {made_at(made) for made in ids} == {NOW + 5}
    assert all(MIN_ID <= made <= MAX_ID for made in ids)


POST_IDS = st.integers(1, 3)
MEDIA_IDS = st.integers(11, 13)
WANTED = st.lists(MEDIA_IDS, min_size=1, max_size=3)


@st.composite
def post_logs(draw: st.DrawFn) -> list[Event]:
    """Posts, each with the media it always had, submitted once or twice and perhaps deleted, in any order."""
    wanted = {post_id: draw(WANTED) for post_id in (1, 2, 3)}
    kinds = draw(st.lists(st.tuples(POST_IDS, st.sampled_from("sssd")), min_size=1, max_size=7))
    return [submitted(post, wanted[post]) if kind == "s" else deleted(post) for post, kind in kinds]


media_logs = st.lists(
    st.one_of(MEDIA_IDS.map(ready), MEDIA_IDS.map(ready), MEDIA_IDS.map(rejected)), min_size=1, max_size=6
)


@dataclass
class World:
    """Kafka and the memory, as the publisher's workers find them."""

    log: dict[TopicPartition, list[Record]]
    memory: MemoryInMemory = field(default_factory=MemoryInMemory)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    published: list[PostPublished] = field(default_factory=list)
    rejected: list[PostRejected] = field(default_factory=list)

    async def emit(self, events: Sequence[Event], removed_before: Collection[int]) -> None:
        for event in events:
            await Turn()  # a crash here leaves some events emitted and nothing committed
            assert isinstance(event, PostPublished | PostRejected)
            assert event.post_id not in removed_before, "a deletion that had been seen was not heeded"
            if isinstance(event, PostPublished):
                assert all(self.memory.rendered[media.media_id] == media for media in event.media)
                self.published.append(event)
            else:
                self.rejected.append(event)

    async def work(self, tp: TopicPartition, sizes: Sequence[int], worker: object, owners: dict[Any, object]) -> None:
        """What a worker does from its start on; only the owner of the partition can commit."""
        at = self.committed.get(tp, 0)
        turn = 0
        while at < len(self.log[tp]):
            size = sizes[turn % len(sizes)]
            turn += 1
            removed_before = set(self.memory.gone)
            events = await join(project(self.log[tp][at : at + size]), self.memory)
            await self.emit(events, removed_before)
            await Turn()
            at += size
            if owners[tp] is worker:
                self.committed[tp] = at


class Workers:
    """Workers of a world, of which one at a time runs up to its next turn. All end with the context."""

    def __init__(self, world: World, sizes: Sequence[int]) -> None:
        self.running: list[tuple[TopicPartition, Coroutine[Any, Any, None]]] = []
        self._world = world
        self._sizes = sizes
        self._owners: dict[Any, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self.running:
            self.crash(0)

    def start(self, tp: TopicPartition) -> None:
        """A new worker takes ``tp`` over."""
        self._owners[tp] = worker = object()
        self.running.append((tp, self._world.work(tp, self._sizes, worker, self._owners)))
        self.step(len(self.running) - 1)

    def step(self, which: int) -> None:
        """One turn of one worker, which may be its last."""
        try:
            self.running[which][1].send(None)
        except StopIteration:
            self.running.pop(which)

    def crash(self, which: int) -> TopicPartition:
        """A worker ends where it stands; the partition that it had."""
        tp, coroutine = self.running.pop(which)
        coroutine.close()
        return tp


@settings(max_examples=400)
@given(
    post_logs(),
    media_logs,
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(0, 4),
    st.integers(0, 2**32).map(random.Random),
)
def test_no_interleaving_loses_a_post_or_publishes_it_too_early(
    posts: list[Event], media: list[Event], sizes: list[int], faults: int, rng: random.Random
) -> None:
    world = World({POSTS: records(POSTS, posts), MEDIA: records(MEDIA, media)})
    with Workers(world, sizes) as workers:
        workers.start(POSTS)
        workers.start(MEDIA)
        while workers.running:
            which = rng.randrange(len(workers.running))
            if faults and rng.random() < 0.05:
                faults -= 1
                # The new worker runs beside the old one, which has become a zombie unless it crashed.
                workers.start(workers.crash(which) if rng.random() < 0.5 else workers.running[which][0])
            else:
                workers.step(which)
        for tp in (POSTS, MEDIA):  # for what no owner is left
            workers.start(tp)
        while workers.running:
            workers.step(0)

    gone = {event.post_id for event in posts if isinstance(event, PostDeleted)}
    rendered = {event.media_id for event in media if isinstance(event, RenditionsReady)}
    refused = {event.media_id for event in media if isinstance(event, MediaRejected)} - rendered
    wanted = {event.post_id: event for event in posts if isinstance(event, PostSubmitted)}
    for post in wanted.values():
        published = [event for event in world.published if event.post_id == post.post_id]
        if rendered.issuperset(post.media_ids) and post.post_id not in gone:
            assert published, "a post was lost"
        assert all([one.media_id for one in event.media] == post.media_ids for event in published)
        if refused.intersection(post.media_ids):
            assert not published
            assert post.post_id in gone or post.post_id in {event.post_id for event in world.rejected}
    assert {event.post_id for event in world.published} | {event.post_id for event in world.rejected} <= wanted.keys()
