"""A gateway goes over to a flipped generation only once that one holds all that the one before shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from sinks.adoption import AdoptedGenerations
from sinks.errors import StoreAway
from sinks.generations import GenerationLog, Generations
from sinks.settings import Settings
from tests.sinks.topic_worlds import provisioned


@pytest.fixture
def world(settings: Settings) -> Iterator[Settings]:
    settings = settings.model_copy(update={"partitions": 1})
    with provisioned(settings):
        yield settings


class Stored:
    """Fences that the test moves, and a count of the looks at the new generation."""

    def __init__(self) -> None:
        self.fences: dict[int, Mapping[str, int]] = {1: {"posts-0": 7, "posts-1": 3}, 2: {"posts-0": 7}}
        self.away = False
        self.looked = asyncio.Condition()
        self.looks = 0

    async def __call__(self, view: str, generation: int) -> Mapping[str, int]:
        async with self.looked:
            self.looks += generation == 2
            self.looked.notify_all()
        if self.away:
            raise StoreAway("for the test")
        return self.fences[generation]

    async def looked_again(self, times: int = 2) -> None:
        """Until the new generation was looked at so often from now on: what was known before is judged by then."""
        async with self.looked:
            until = self.looks + times
            await asyncio.wait_for(self.looked.wait_for(lambda: self.looks >= until), 15)


async def test_a_generation_that_is_behind_is_not_read_yet(world: Settings) -> None:
    stored = Stored()
    adopted = AdoptedGenerations(world, stored)
    await adopted.start()
    try:
        held = adopted.snapshot()
        assert adopted["posts"] == 1
        flipped = Generations(view="posts").begun(1).flipped(2, 2)
        await asyncio.to_thread(GenerationLog(world).write, flipped)
        await stored.looked_again()
        assert adopted["posts"] == 1
        stored.away = True
        await stored.looked_again()
        assert adopted["posts"] == 1
        stored.away = False
        stored.fences[2] = {"posts-0": 9, "posts-1": 3}

        async def adopts() -> None:
            while adopted["posts"] == 1:
                await asyncio.sleep(0)

        await asyncio.wait_for(adopts(), 15)
        assert adopted.snapshot() == {"posts": 2}
        assert held == {}, "a request's snapshot stays as it was"
    finally:
        await adopted.stop()


async def test_who_starts_after_a_flip_reads_what_is_live(world: Settings) -> None:
    flipped = Generations(view="posts").begun(1).flipped(2, 2)
    await asyncio.to_thread(GenerationLog(world).write, flipped)
    adopted = AdoptedGenerations(world, Stored())
    await adopted.start()
    assert adopted["posts"] == 2
    await adopted.stop()
