"""The bulk sink beyond the live sink's contract: cut off anywhere, loaded again, and gone on from by the live sink."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from schemas.ids import MAX_ID, MIN_ID
from sinks import home_feed_layout, redis_bulk
from sinks.errors import StoreAway
from sinks.home_feed_buckets import PUSH, STATE
from sinks.home_feed_layout import Layout, Shape, buckets_of
from sinks.redis import connect
from sinks.redis_bulk import Chunk
from streams.buckets import bucket_of
from streams.home_feed import FanOut, Follow, Unfollow, Withdraw
from streams.records import Span
from tests.sinks.feed_histories import (
    CAP,
    COUNT,
    LOGS,
    PEOPLE,
    PULL,
    SLACK,
    TOPIC_IDS,
    Generation,
    History,
    Killed,
    Reached,
    deliver,
    live_sink,
    quiet,
    some_of,
)
from tests.sinks.memory_buckets import MemoryBuckets


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut wherever something can be cut."""
    monkeypatch.setattr(home_feed_layout, "CHUNK_BYTES", 0)
    monkeypatch.setattr(home_feed_layout, "_GATHERED", 1)
    monkeypatch.setattr(home_feed_layout, "_FIELDS", 1)
    monkeypatch.setattr(redis_bulk, "MOST", 2)


def cut(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Kill the next load after ``after`` chunks, or before its fences."""
    whole = Layout.chunks

    def chunks(layout: Layout) -> Iterator[Chunk]:
        monkeypatch.setattr(Layout, "chunks", whole)
        for n, chunk in enumerate(whole(layout)):
            if n == after:
                raise Killed
            yield chunk
        raise Killed

    monkeypatch.setattr(Layout, "chunks", chunks)


@pytest.mark.parametrize("seed", range(20))
async def test_the_live_sink_goes_on_where_the_load_ended(
    seed: int, generation: Generation, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(seed)
    if seed % 2:
        request.getfixturevalue("small_chunks")
    history = History.of(chance)
    bulk = generation.bulk()
    reached = await deliver(bulk, history, chance, some_of(history, chance))
    heard: list[tuple[int, int]] = []
    await bulk.load(lambda done, of: heard.append((done, of)))
    assert await generation.live.fences(LOGS) == await bulk.fences(LOGS) == reached
    assert heard == sorted(heard)
    assert heard[-1][0] == heard[-1][1]
    await deliver(generation.live, history, chance)
    await generation.check(history)

    only_live = Generation(generation.redis, 2)
    await deliver(only_live.live, history, chance)
    await only_live.check(history)
    only_bulk = Generation(generation.redis, 3)
    loaded = only_bulk.bulk()
    await deliver(loaded, history, chance)
    await loaded.load(quiet)
    await only_bulk.check(history, exact=True)
    pulled = set()
    for person in PEOPLE:
        followed_by = await only_bulk.reader.follower_count(person)
        if followed_by >= PULL and (await only_bulk.reader.timeline(person))[0]:
            pulled.add(str(person).encode())
        assert await only_bulk.reader.followers(person) == await only_live.reader.followers(person)
        following = await only_bulk.reader.following_of(person)
        assert sorted(following) == sorted(await only_live.reader.following_of(person))
    for bucket in range(COUNT):
        assert await generation.redis.smembers(f"hf3:{{{bucket}}}:big") == pulled
        assert await generation.redis.smembers(f"hf3:{{{bucket}}}:pulled") == pulled


@pytest.mark.parametrize("seed", range(12))
async def test_a_load_that_was_killed_is_done_again(
    seed: int, generation: Generation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    chance = random.Random(seed)
    history = History.of(chance)
    bulk = generation.bulk(tmp_path / "checkpoint")
    await deliver(bulk, history, chance, some_of(history, chance))
    cut(monkeypatch, chance.randrange(60))
    with pytest.raises(Killed):
        await bulk.load(quiet)
    assert set((await generation.live.fences(LOGS)).values()) == {-1}

    again = generation.bulk(tmp_path / "checkpoint")
    assert await again.fences(LOGS) == await bulk.fences(LOGS)
    if seed % 2:  # what is of no use any more must not survive from the first load
        await deliver(again, history, chance)
    await again.load(quiet)
    if seed % 2:
        await generation.check(history, exact=True)
    await deliver(generation.live, history, chance)
    await generation.check(history)


async def test_a_load_is_not_repeated_over_what_the_live_sink_added(generation: Generation, tmp_path: Path) -> None:
    chance = random.Random(7)
    history = History.of(chance)
    await deliver(generation.bulk(tmp_path), history, chance, dict.fromkeys(LOGS, 5))
    bulk = generation.bulk(tmp_path)
    await deliver(bulk, history, chance, dict.fromkeys(LOGS, 10))
    await bulk.load(quiet)
    end = await deliver(generation.live, history, chance)
    again = generation.bulk(tmp_path)
    assert await again.fences(LOGS) == dict.fromkeys(LOGS, 10)
    await again.load(quiet)
    assert await generation.live.fences(LOGS) == end
    await generation.check(history)


async def test_a_lost_bucket_is_loaded_again(generation: Generation) -> None:
    chance = random.Random(8)
    history = History.of(chance)
    bulk = generation.bulk()
    await deliver(bulk, history, chance)
    await bulk.load(quiet)
    async for key in generation.redis.scan_iter(match="hf1:{1}:*"):
        await generation.redis.delete(key)
    await generation.redis.sadd("hf1:{0}:z:1", "stale")
    await bulk.load(quiet)
    await generation.check(history, exact=True)
    assert not await generation.redis.exists("hf1:{0}:z:1")


async def test_other_generations_are_left_alone(generation: Generation) -> None:
    await generation.redis.set("hf11:{0}:fences", "theirs")
    chance = random.Random(9)
    bulk = generation.bulk()
    await deliver(bulk, History.of(chance), chance)
    await bulk.load(quiet)
    assert await generation.redis.get("hf11:{0}:fences") == b"theirs"


def _parsed(commands: bytes) -> Iterator[list[str]]:
    lines = commands.decode().split("\r\n")
    at = 0
    while at < len(lines) - 1:
        count = int(lines[at].removeprefix("*"))
        yield lines[at + 2 : at + 2 * count + 1 : 2]
        at += 2 * count + 1


def _run(buckets: MemoryBuckets, command: Sequence[str]) -> None:
    name, key, *arguments = command
    _, tag, rest = key.split(":", 2)
    bucket = buckets.buckets[int(tag.strip("{}"))]
    if name == "SADD":
        bucket.sets[rest].update(arguments)
    elif name == "RPUSH":
        bucket.lists[rest] += arguments
    else:
        assert (name, rest) == ("HSET", "floors")
        bucket.floors.update(zip(arguments[::2], arguments[1::2], strict=True))


def _flat(history: History, to: Reached) -> tuple[list[int], list[int]]:
    follows, posts = [], []
    for tp, writes in history.log.items():
        for write in writes[: to[tp] + 1]:
            match write:
                case Follow() | Unfollow():
                    follows += [write.follower if isinstance(write, Follow) else -write.follower, write.followee]
                case FanOut() | Withdraw():
                    posts += [write.post if isinstance(write, FanOut) else -write.post, write.author]
    return follows, posts


@pytest.mark.parametrize("seed", range(150))
async def test_the_live_sink_makes_any_part_of_a_load_right(seed: int, small_chunks: None) -> None:
    """Redis lost its last second, or was put back to a snapshot taken while it was loaded: after the flip."""
    chance = random.Random(seed)
    history = History.of(chance)
    to = some_of(history, chance)
    follows, posts = (np.array(column, np.int64) for column in _flat(history, to))
    chunks = Layout(Shape(1, COUNT, CAP, PULL), follows, posts).chunks()
    commands = [command for chunk in chunks for command in _parsed(chunk.commands)]
    buckets = MemoryBuckets(TOPIC_IDS, count=COUNT, cap=CAP, slack=SLACK)
    done = chance.randint(0, int(1.3 * len(commands)))
    part = commands[:done] if seed % 2 else [command for command in commands if chance.randrange(len(commands)) < done]
    for command in part:  # its beginning; or some of it, as while the next load removes it
        _run(buckets, command)
    if len(part) == len(commands):
        for bucket in buckets.buckets[: chance.randint(0, COUNT)]:
            for tp, last in to.items():
                if last >= 0:
                    bucket.fences |= {f"{which}:{tp}": (last, TOPIC_IDS[tp.topic]) for which in (STATE, PUSH)}
    await deliver(live_sink(buckets), history, chance)
    for person in PEOPLE:
        history.check(person, buckets.skeleton(person))


async def test_an_empty_log_is_loaded_as_nothing(generation: Generation) -> None:
    bulk = generation.bulk()
    assert set((await bulk.fences(LOGS)).values()) == {-1}
    await bulk.apply([], {tp: Span(-1, -1) for tp in LOGS})
    await bulk.load(quiet)
    assert await generation.redis.dbsize() == 0


async def test_an_absent_redis_is_said_and_tried_again(generation: Generation) -> None:
    chance = random.Random(3)
    history = History.of(chance)
    async with connect("redis://127.0.0.1:1/0") as nowhere:
        bulk = Generation(nowhere).bulk()
        await deliver(bulk, history, chance)
        with pytest.raises(StoreAway):
            await bulk.load(quiet)
    bulk._redis = bulk._buckets._redis = generation.redis
    await bulk.load(quiet)
    await generation.check(history, exact=True)


def test_many_find_their_bucket_as_one_does() -> None:
    chance = random.Random(1)
    ids = [chance.randint(MIN_ID, MAX_ID) for _ in range(2000)] + [MIN_ID, MAX_ID]
    for buckets in (1, 3, 16, 1000):
        assert buckets_of(np.array(ids, np.int64), buckets).tolist() == [bucket_of(i, buckets) for i in ids]
