from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sinks import consistency
from sinks.cassandra import Cassandra, Row
from sinks.consistency import Fences
from sinks.tables import TableSink
from streams.records import Span, TopicPartition

POSTS_3, GRAPH_0 = TopicPartition("posts", 3), TopicPartition("graph", 0)


def test_token_comes_back_as_it_was() -> None:
    token = {POSTS_3: 1742, GRAPH_0: 0}
    assert consistency.format(token) == "graph-0-0,posts-3-1742"
    assert consistency.parse(consistency.format(token)) == token
    assert consistency.parse("posts-3-5,posts-3-2") == {POSTS_3: 5}
    assert consistency.parse("") == consistency.parse(consistency.format({})) == {}


@pytest.mark.parametrize(
    "text", ["posts", "posts-3", "posts-3-", "posts-x-1", "posts-3--1", ",", "posts-3-1,", "posts-3-1 ", "posts-٣-1"]
)
def test_other_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="topic-partition-offset"):
        consistency.parse(text)


def test_endless_token_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1024 characters"):
        consistency.parse("posts-3-1," * 200 + "posts-3-1")


class Feeds:
    """The home feed's fences, by hand; ``looks`` counts the questions, ``asked`` is set at the first."""

    def __init__(self, fence: int) -> None:
        self.at = fence
        self.looks = 0
        self.asked = asyncio.Event()

    async def fence(self, user_id: int, tp: TopicPartition) -> int:
        self.looks += 1
        self.asked.set()
        return self.at


class Counts:
    """The counters' fence, by hand."""

    def __init__(self, fence: int = -1) -> None:
        self.at = fence

    async def fence(self, tp: TopicPartition) -> int:
        return self.at


class NoCassandra:
    """Nothing here may ask Cassandra."""

    async def execute(self, cql: str, params: Sequence[object] = ()) -> list[Row]:
        raise AssertionError(cql)


def fences(feeds: Feeds) -> Fences:
    return Fences(NoCassandra(), feeds, Counts())  # type: ignore[arg-type]


async def test_one_look_where_the_view_is_there_already() -> None:
    feeds = Feeds(7)
    assert await fences(feeds).wait("home_feed", 1, {POSTS_3: 7}, 0)
    assert feeds.looks == 1


async def test_patience_ends() -> None:
    feeds = Feeds(6)
    assert not await fences(feeds).wait("home_feed", 1, {POSTS_3: 7}, 0)
    assert feeds.looks == 1
    assert not await fences(feeds).wait("home_feed", 1, {POSTS_3: 7}, 0.05)
    assert feeds.looks > 2


async def test_waits_until_the_fence_has_passed() -> None:
    feeds = Feeds(-1)
    waiting = asyncio.create_task(fences(feeds).wait("home_feed", 1, {POSTS_3: 7}, 30))
    await feeds.asked.wait()
    feeds.at = 8
    assert await waiting


async def test_topics_that_a_view_does_not_read_are_no_reason_to_wait() -> None:
    feeds = Feeds(-1)
    media = {TopicPartition("media", 0): 5}
    assert await fences(feeds).wait("home_feed", 1, media, 0)
    assert await fences(feeds).wait("follows", 1, media | {POSTS_3: 1}, 0)
    assert feeds.looks == 0


async def test_counters_have_fences_of_their_own() -> None:
    counting = Fences(NoCassandra(), Feeds(9), Counts(4))  # type: ignore[arg-type]
    likes = TopicPartition("engagement", 0)
    assert await counting.wait("counters", 1, {likes: 4}, 0)
    assert not await counting.wait("counters", 1, {likes: 5}, 0)


async def test_unknown_view() -> None:
    with pytest.raises(KeyError):
        await fences(Feeds(1)).wait("nonsense", 1, {}, 0)


async def test_table_views_by_their_generation(cassandra: Cassandra) -> None:
    sink = TableSink(cassandra, "posts", 2, {"posts": "id"})
    await sink.apply([], {POSTS_3: Span(-1, 9)})
    second = Fences(cassandra, Feeds(-1), Counts(), {"posts": 2})
    assert await second.wait("posts", 1, {POSTS_3: 9}, 0)
    assert not await second.wait("posts", 1, {POSTS_3: 10}, 0)
    assert not await second.wait("posts", 1, {TopicPartition("posts", 4): 0}, 0)
    assert not await Fences(cassandra, Feeds(-1), Counts()).wait("posts", 1, {POSTS_3: 9}, 0)
    waiting = asyncio.create_task(second.wait("posts", 1, {POSTS_3: 10}, 30))
    await sink.apply([], {POSTS_3: Span(9, 10)})
    assert await waiting
