"""The pointers to the live generations: what they say, and that whoever follows them hears of a flip."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sinks.generations import TOPIC, Generation, GenerationLog, Generations, LiveGenerations, now_ms
from sinks.producer import Outgoing, Producer, TopicMissing
from sinks.settings import Settings
from tests.sinks.topic_worlds import provisioned


def test_a_view_that_nobody_spoke_of_has_its_first_generation_live() -> None:
    generations = Generations(view="posts")
    assert generations.live == 1
    assert generations.building() is None is generations.kept()


def test_from_begun_to_flipped_to_dropped() -> None:
    begun = Generations(view="posts").begun(10)
    assert begun.live == 1
    assert begun.building() == Generation(number=2, state="building", since=10)
    with pytest.raises(ValueError, match="already"):
        begun.begun(11)

    flipped = begun.flipped(2, 20, refused=3, built_to={"posts-0": 7})
    assert flipped.live == 2
    assert flipped.of(2) == Generation(number=2, state="live", since=20, refused=3, built_to={"posts-0": 7})
    assert flipped.kept() == Generation(number=1, state="kept", since=20)

    back = flipped.flipped(1, 30)
    assert back.live == 1
    assert back.kept() == Generation(number=2, state="kept", since=30, refused=3, built_to={"posts-0": 7})
    with pytest.raises(ValueError, match="is live"):
        back.dropped(1)
    with pytest.raises(LookupError, match="no generation 9"):
        back.dropped(9)
    assert back.dropped(2).all == (Generation(number=1, state="live", since=30),)
    # A number is never used twice: the fences of a dropped generation stay, and would be taken for the new one's.
    assert [one.number for one in back.begun(40).all] == [1, 2, 3]
    assert [one.number for one in back.dropped(2).begun(40).all] == [1, 3]


def test_exactly_one_is_live() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Generations(view="posts", all=())


@pytest.fixture
def world(settings: Settings) -> Iterator[Settings]:
    settings = settings.model_copy(update={"partitions": 1})
    with provisioned(settings):
        yield settings


async def test_what_is_written_is_read_and_heard(world: Settings) -> None:
    log = GenerationLog(world)
    assert await asyncio.to_thread(log.read) == {}
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    live = LiveGenerations(world, lambda view, number: heard.put_nowait((view, number)))
    await live.start()
    try:
        held = live.snapshot()
        assert live["home_feed"] == 1
        begun = Generations(view="home_feed").begun(now_ms())
        await asyncio.to_thread(log.write, begun)
        await asyncio.to_thread(log.write, begun.flipped(2, now_ms()))
        assert await asyncio.wait_for(heard.get(), 15) == ("home_feed", 2)
        assert live["home_feed"] == 2
        assert held == {}, "a request's snapshot stays as it was"
        assert (await asyncio.to_thread(log.of, "home_feed")).kept() is not None
        assert (await asyncio.to_thread(log.of, "posts")).live == 1

        late = LiveGenerations(world)
        await late.start()
        assert late["home_feed"] == 2
        await late.stop()
    finally:
        await live.stop()


async def test_a_foreign_record_changes_nothing(world: Settings) -> None:
    log = GenerationLog(world)
    flipped = Generations(view="posts").begun(1).flipped(2, 2)
    await asyncio.to_thread(log.write, flipped)
    async with Producer(world) as producer:
        await producer.write(
            [Outgoing(TOPIC, b"posts", b"no json"), Outgoing(TOPIC, b"posts", b'{"view": "posts", "all": []}')]
        )
    assert await asyncio.to_thread(log.of, "posts") == flipped


async def test_a_missing_topic_is_said(settings: Settings) -> None:
    with pytest.raises(TopicMissing, match="provision"):
        await LiveGenerations(settings).start()
