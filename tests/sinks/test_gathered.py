"""Questions that share round trips, on a store that answers when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from sinks.errors import StoreAway
from sinks.gathered import MOST, Asked, Gathered, Read
from sinks.home_feed_watch import GenerationWatch, Healing
from sinks.redis import Circuit, connect


class Store:
    """Answers each question with how often anything was written before it was read."""

    def __init__(self) -> None:
        self.asked: list[dict[int, list[str]]] = []
        self.written = 0
        self.away = False
        self.arrived = asyncio.Semaphore(0)
        self.leave = asyncio.Semaphore(0)
        self.gathered: Gathered[str, dict[str, int]] = Gathered(self._read, None)

    async def _read(self, asked: Asked[str]) -> Read[dict[str, int]]:
        self.asked.append({bucket: list(questions) for bucket, questions in asked.items()})
        self.arrived.release()
        found: Read[dict[str, int]] = {
            bucket: ((), dict.fromkeys(questions, self.written)) for bucket, questions in asked.items()
        }
        await self.leave.acquire()
        if self.away:
            raise StoreAway("gone")
        return found

    def ask(self, wanted: dict[int, Collection[str]]) -> asyncio.Task[dict[int, dict[str, int]]]:
        return asyncio.create_task(self.gathered.ask(wanted))


async def test_who_asks_at_once_shares_a_round_trip_and_what_both_ask_is_read_once() -> None:
    store = Store()
    one, other = store.ask({1: ["a", "b"], 2: ["c"]}), store.ask({1: ["b", "d"]})
    store.leave.release()
    assert await one == {1: {"a": 0, "b": 0, "d": 0}, 2: {"c": 0}}
    assert await other == {1: {"a": 0, "b": 0, "d": 0}}
    assert store.asked == [{1: ["a", "b", "d"], 2: ["c"]}]


async def test_who_asks_while_it_is_read_is_answered_with_what_is_read_after_that() -> None:
    store = Store()
    before = store.ask({1: ["a"]})
    await store.arrived.acquire()
    store.written = 1
    after, too = store.ask({1: ["a"]}), store.ask({1: ["a"]})
    store.leave.release()
    store.leave.release()
    assert await before == {1: {"a": 0}}
    assert await after == await too == {1: {"a": 1}}
    assert len(store.asked) == 2


async def test_a_failure_reaches_all_who_wait_and_nobody_after_them() -> None:
    store = Store()
    store.away = True
    first, second = store.ask({1: ["a"]}), store.ask({2: ["b"]})
    await store.arrived.acquire()
    next_one = store.ask({1: ["a"]})
    store.leave.release()
    for waiting in (first, second):
        with pytest.raises(StoreAway):
            await waiting
    store.away = False
    store.leave.release()
    assert await next_one == {1: {"a": 0}}


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    store = Store()
    impatient, patient = store.ask({1: ["a"]}), store.ask({1: ["b"]})
    await store.arrived.acquire()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    store.leave.release()
    assert (await patient)[1]["b"] == 0


async def test_a_round_trip_that_is_full_is_followed_by_another() -> None:
    store = Store()
    full, more = store.ask({1: [str(n) for n in range(MOST)]}), store.ask({1: ["a"]})
    store.leave.release()
    await full
    store.leave.release()
    assert await more == {1: {"a": 0}}
    assert [len(asked[1]) for asked in store.asked] == [MOST, 1]


async def test_a_bucket_that_is_coming_back_is_refused_to_those_alone_who_ask_it() -> None:
    watch = GenerationWatch(connect("redis://nobody.invalid"), Circuit(), generation=1, buckets=3)
    for bucket in (0, 1):
        watch._buckets[bucket].sound = True
        watch._buckets[bucket].history = (b"1.0", 5)
    read: list[int] = []

    async def look(asked: Asked[str]) -> Read[str]:
        read.extend(asked)
        return {bucket: ((b"1.0", b"6" if bucket == 0 else b"4"), "answer") for bucket in asked}

    gathered = Gathered(look, watch)
    whole, gone_back, healing, both = (
        asyncio.create_task(gathered.ask(dict.fromkeys(buckets, ["a"]))) for buckets in ([0], [1], [2], [0, 2])
    )
    assert await whole == {0: "answer"}
    for refused in (gone_back, healing, both):
        with pytest.raises(Healing):
            await refused
    assert read == [0, 1] and watch.healing == [1, 2]
