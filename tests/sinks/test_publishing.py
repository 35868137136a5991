"""The publisher on a real Cassandra and a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import msgspec
import pytest

from schemas.events import Event, PostPublished, PostRejected, RenderedMedia, Rendition, Sticker
from schemas.ids import MIN_ID
from sinks.cassandra import Cassandra
from sinks.emitter import Commits, MemoryCommits
from sinks.errors import FenceBehind, StoreAway
from sinks.producer import Producer
from sinks.publishing import PublisherSink, PublishingMemory, RememberedCommits
from sinks.settings import Settings
from sinks.tables import TableSink
from streams.causes import Cause
from streams.publishing import Memory, Post, Removed, Seen, Settled, Submitted, Trimmings, project
from streams.records import Record, Span, TopicPartition
from streams.rendering import Refusal
from streams.views import Mark
from tests.sinks.emitter_world import Broker, FailingCommits, Log, spans_of
from tests.streams.publishing_memory import MemoryInMemory
from tests.streams.test_publishing import MEDIA, POSTS, STORIES, deleted, ready, records, rejected, submitted

TOPIC_IDS = {"posts": "posts-1", "media": "media-1"}
PICTURE = RenderedMedia(
    media_id=11,
    width=4000,
    height=3000,
    blurhash="LEHV6nWB2yk8pyo0adR*.7kCMdnj",
    average_color="#8a7f6e",
    renditions=[Rendition(name=1080, width=1080, height=810, key="r/ab/abcdef.jpg", bytes=123_456)],
)


@pytest.fixture(params=["memory", "cassandra"])
def memory(request: pytest.FixtureRequest, cassandra: Cassandra) -> Memory:
    """Both memories: what the tests of the pure half stand on is what Cassandra does."""
    return MemoryInMemory() if request.param == "memory" else PublishingMemory(cassandra)


def cause(tp: TopicPartition, offset: int) -> Cause:
    return Cause(Mark(tp, offset), 1_780_000_000_000, "")


async def test_memory_gives_back_what_was_stored(memory: Memory) -> None:
    first, second = Post(MIN_ID, 1, (12, 11, 12)), Post(MIN_ID + 1, 2, (11,))
    seen: list[Seen] = [
        Submitted(cause(POSTS, 0), first),
        Submitted(cause(POSTS, 1), second),
        Settled(cause(MEDIA, 0), 11, PICTURE),
        Settled(cause(MEDIA, 1), 12, Refusal("empty", "The file is empty.")),
        Removed(cause(POSTS, 2), 77),
    ]
    for _ in range(2):
        await memory.store(seen)
        assert sorted(await memory.wanting([11, 12, 13])) == [(11, first), (11, second), (12, first)]
        assert await memory.outcomes([11, 12, 13]) == {11: PICTURE, 12: Refusal("empty", "The file is empty.")}
        assert await memory.removed([MIN_ID, 77]) == {77}


async def test_memory_knows_media_that_no_post_wants_and_posts_without_media(memory: Memory) -> None:
    await memory.store([Settled(cause(MEDIA, 0), 11, PICTURE), Submitted(cause(POSTS, 0), Post(4, 1, (12,)))])
    assert list(await memory.wanting([11])) == []
    assert await memory.outcomes([11, 12]) == {11: PICTURE}


async def test_memory_keeps_what_makes_a_story(memory: Memory) -> None:
    trimmings = Trimmings((Sticker(kind="text", x=1, y=2, turn=-3, size=900, content=b"\x00\xff"),), "catalogue:1")
    story, bare = Post(5, 1, (11,), story=trimmings), Post(6, 1, (11,), story=Trimmings())
    await memory.store([Submitted(cause(STORIES, 0), story), Submitted(cause(STORIES, 1), bare)])
    assert sorted((await memory.wanting([11])), key=lambda one: one[1].post_id) == [(11, story), (11, bare)]


@pytest.mark.parametrize("rendered_at", [0, 3])
async def test_memory_keeps_a_rendering_and_else_the_last_refusal(memory: Memory, rendered_at: int) -> None:
    refusals = [Settled(cause(MEDIA, offset), 11, Refusal(f"code{offset}", "…")) for offset in (2, 1)]
    await memory.store(refusals)
    assert await memory.outcomes([11]) == {11: Refusal("code2", "…")}
    await memory.store([Settled(cause(MEDIA, rendered_at), 11, PICTURE)])
    await memory.store(refusals)
    assert await memory.outcomes([11]) == {11: PICTURE}


async def test_one_media_can_be_wanted_by_more_posts_than_a_page_has(cassandra: Cassandra) -> None:
    memory = PublishingMemory(cassandra)
    posts = {Post(MIN_ID + n, 1, (11,)) for n in range(5100)}
    await memory.store([Submitted(cause(POSTS, n), post) for n, post in enumerate(posts)])
    assert {post for _, post in await memory.wanting([11])} == posts
    assert await memory.outcomes([11]) == {}


async def test_a_memory_that_was_lost_is_filled_again(cassandra: Cassandra) -> None:
    broker, kafka = Broker(), MemoryCommits()
    commits = RememberedCommits(kafka, TableSink(cassandra, "publisher", 1, TOPIC_IDS))
    sink = PublisherSink(PublishingMemory(cassandra), broker, commits)
    posts, media = records(POSTS, [submitted(4, [11])]), records(MEDIA, [ready(11)])
    await sink.apply(project(posts), spans_of(posts, {}))
    assert await sink.fences([POSTS, MEDIA]) == {POSTS: 0, MEDIA: -1}

    for table in ("fences", "publishing_media"):
        await cassandra.change_schema(f"TRUNCATE {table}")
    with pytest.raises(FenceBehind) as behind:
        await sink.apply(project(media), {**spans_of(media, {}), POSTS: Span(0, 0)})
    assert behind.value.positions == {POSTS: -1, MEDIA: -1}
    assert broker.log == []
    await sink.apply(project(posts), spans_of(posts, {}))
    await sink.apply(project(media), spans_of(media, {}))
    assert [type(event) for event in broker.log] == [PostPublished]
    assert kafka.offsets == {POSTS: 0, MEDIA: 0}


async def test_an_absent_broker_changes_nothing_for_good(cassandra: Cassandra) -> None:
    broker, commits = Broker(), MemoryCommits()
    broker.away = 2
    sink = PublisherSink(PublishingMemory(cassandra), broker, commits)
    batch = [*records(POSTS, [submitted(4, [11]), submitted(5, [12])]), *records(MEDIA, [ready(11), rejected(12)])]
    for _ in range(2):
        with pytest.raises(StoreAway):
            await sink.apply(project(batch), spans_of(batch, {}))
    assert commits.offsets == {}
    await sink.apply(project(batch), spans_of(batch, {}))
    assert [type(event) for event in broker.log] == [PostPublished, PostRejected]
    assert commits.offsets == {POSTS: 1, MEDIA: 1}


class CrashBeforeCommit(FailingCommits):
    """The commits of a worker that ends between the broker's acknowledgement and its commit."""

    def __init__(self, commits: Commits) -> None:
        super().__init__(failures=1)
        self._commits = commits

    async def committed(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._commits.committed(partitions)


async def test_a_crash_between_acknowledgement_and_commit_is_harmless(settings: Settings, cassandra: Cassandra) -> None:
    world = settings.model_copy(update={"partitions": 2})
    log = await asyncio.to_thread(Log, world)
    media_ids = range(MIN_ID, MIN_ID + 20)
    said: list[Event] = [
        in_range(rejected(media_id) if media_id % 4 == 0 else ready(media_id)) for media_id in media_ids
    ]
    said += [in_range(submitted(post_of(media_id), [media_id])) for media_id in media_ids]
    said += [in_range(deleted(post_of(media_id))) for media_id in media_ids if media_id % 5 == 0]
    async with Producer(world) as producer:
        await producer.produce_many(said)
        batch = await asyncio.to_thread(log.records, "posts", "media")

        async def apply(commits: Commits, batch: Sequence[Record]) -> Mapping[TopicPartition, int]:
            sink = PublisherSink(PublishingMemory(cassandra), producer, commits)
            fences = await sink.fences({record.tp for record in batch})
            await sink.apply(project(batch), spans_of(batch, fences))
            return await sink.fences(fences)

        member = await asyncio.to_thread(log.member, "publisher", ["posts", "media"])
        with pytest.raises(StoreAway):
            await apply(CrashBeforeCommit(log.commits(member)), batch)
        await asyncio.to_thread(member.close)
        once = await emitted(log)
        assert {event.post_id for event in once if isinstance(event, PostPublished)} == {
            post_of(media_id) for media_id in media_ids if media_id % 4 and media_id % 5
        }
        assert {event.post_id for event in once if isinstance(event, PostRejected)} == {
            post_of(media_id) for media_id in media_ids if not media_id % 4 and media_id % 5
        }

        successor = await asyncio.to_thread(log.member, "publisher", ["posts", "media"])
        commits = log.commits(successor)
        fences = await apply(commits, batch)
        assert fences == {record.tp: record.offset for record in batch}
        twice = await emitted(log)
        assert sorted(twice, key=lambda event: event.event_id) == sorted(once * 2, key=lambda event: event.event_id), (
            "what is said again is not the same"
        )

        everything = await asyncio.to_thread(log.records, "posts", "media")
        after = [record for record in everything if record.offset > fences[record.tp]]
        assert len(after) == len(twice)
        await apply(commits, after)
        assert await emitted(log) == twice, "the publisher answered itself"
        await asyncio.to_thread(successor.close)


def post_of(media_id: int) -> int:
    return media_id + 1000


def in_range(event: Event) -> Event:
    """``event`` with ids that the log takes."""
    small = {
        name: getattr(event, name) for name in ("event_id", "actor_id", "owner_id", "author_id") if hasattr(event, name)
    }
    return msgspec.structs.replace(event, **{name: MIN_ID + value for name, value in small.items()})


async def emitted(log: Log) -> list[Event]:
    """What stands in the log by the publisher."""
    found = await asyncio.to_thread(log.records, "posts", "media")
    return [record.event for record in found if isinstance(record.event, PostPublished | PostRejected)]
