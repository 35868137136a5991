"""Questions answered together: none is lost, none is answered with what is older than it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from api.micro_batches import MicroBatches


async def test_who_asks_meanwhile_is_in_the_next_batch() -> None:
    seen: list[list[int]] = []
    going_on = asyncio.Event()

    async def answer(batch: Sequence[int]) -> list[int | None]:
        seen.append(list(batch))
        await going_on.wait()
        return [number * 10 for number in batch]

    batches = MicroBatches(answer, most=3, seconds=0.0)
    first = asyncio.create_task(batches.ask(1))
    while not seen:
        await asyncio.sleep(0)
    others = [asyncio.create_task(batches.ask(number)) for number in range(2, 7)]
    await asyncio.sleep(0)
    others[0].cancel()
    going_on.set()
    assert await asyncio.gather(first, *others[1:]) == [10, 30, 40, 50, 60]
    assert seen == [[1], [3, 4], [5, 6]]


async def test_what_cannot_be_answered_yet_is_asked_again() -> None:
    seen: list[list[int]] = []

    async def answer(batch: Sequence[int]) -> list[int | None]:
        seen.append(list(batch))
        return [number if number % 2 or len(seen) > 2 else None for number in batch]

    batches = MicroBatches(answer, most=10, seconds=0.0)
    assert await asyncio.gather(*(batches.ask(number) for number in range(4))) == [0, 1, 2, 3]
    assert seen == [[0, 1, 2, 3], [0, 2], [0, 2]]


async def test_a_failure_is_that_of_its_batch() -> None:
    async def answer(batch: Sequence[int]) -> list[int | None]:
        if 1 in batch:
            raise ValueError("one")
        return list(batch)

    batches = MicroBatches(answer, most=2, seconds=0.0)
    answers = await asyncio.gather(*(batches.ask(number) for number in range(4)), return_exceptions=True)
    assert [isinstance(one, ValueError) for one in answers] == [True, True, False, False]
    with pytest.raises(ValueError, match="one"):
        await batches.ask(1)
    assert await batches.ask(5) == 5
