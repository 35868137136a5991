"""Reading DLQ topics: to their end, as they are."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import pytest

from sinks.dead_letters import DeadLetters
from sinks.dead_letters_fold import LetterId
from sinks.dead_letters_reader import DeadLetterLog
from sinks.producer import Outgoing, Producer, TopicMissing
from sinks.settings import Settings
from streams.records import TopicPartition
from tests.sinks.topic_worlds import provisioned


class Poison(NamedTuple):
    """A raw record."""

    tp: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None


async def test_every_letter_of_every_partition_is_read(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    graph, posts = TopicPartition("graph", 1), TopicPartition("posts", 0)
    with provisioned(settings):
        log = DeadLetterLog(settings)
        assert not log.read({}).letters
        async with Producer(settings) as producer:
            box = DeadLetters(producer)
            for offset in range(20):
                await box.put(Poison(graph, offset, b"%d" % offset, b"\xff"), "garbage", "", None)
            await box.put(Poison(graph, 3, b"3", b"\xff"), "garbage again", "", None)
            await box.of(2).put(Poison(posts, 4, None, b"x"), "refused", "Traceback", "posts")
            await producer.write([Outgoing("posts.dlq", None, b"somebody else's")])
        heard: list[tuple[int, int]] = []
        book = await asyncio.to_thread(log.read, {}, moved=lambda read, of: heard.append((read, of)))
        assert list(book.letters) == [
            *(LetterId(graph, n, "") for n in range(20)),
            LetterId(posts, 4, "posts"),
        ]
        again = book.letters[LetterId(graph, 3, "")]
        assert (again.tries, again.error, again.key, again.value) == (2, "garbage again", b"3", b"\xff")
        assert book.foreign == 1
        assert heard[-1] == (23, 23)
        assert [letter.error for letter in book.refusals("posts")] == ["refused"]
        assert list(log.read({}, ("posts",)).letters) == [LetterId(posts, 4, "posts")]


def test_topics_that_are_missing_are_said(settings: Settings) -> None:
    with pytest.raises(TopicMissing, match="shutterlog provision"):
        DeadLetterLog(settings).read({})
