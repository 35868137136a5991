"""The media emitter works on several uploads at a time, and keeps the order within each partition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from schemas.events import Event, MediaRejected
from schemas.ids import MIN_ID
from sinks.errors import StoreAway
from sinks.object_store import ObjectStore
from sinks.pictures import Rejected, Rendered
from streams.records import Record, TopicPartition
from tests.sinks.emitter_world import FailingCommits
from tests.sinks.uploads import A, B, Bench, records, upload


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty folder."""
    return ObjectStore.local(tmp_path / "media")


class Gate:
    """A pool that refuses each file by its own name, once that is let through."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[bytes] = asyncio.Queue()
        self.open: dict[bytes, asyncio.Event] = {}
        self.inside = 0
        self.most_inside = 0

    def let(self, *names: bytes) -> None:
        for name in names:
            self.open.setdefault(name, asyncio.Event()).set()

    async def render(self, original: bytes) -> Rendered:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.started.put_nowait(original)
        await self.open.setdefault(original, asyncio.Event()).wait()
        self.inside -= 1
        if original == b"bug":
            raise RuntimeError("a bug of ours")
        raise Rejected("undecodable", original.decode())


async def gated(store: ObjectStore, names: list[bytes], tp: TopicPartition, first: int = 0) -> list[Record]:
    """Uploads of files that hold their own names."""
    uploads = [upload(MIN_ID + 100 * tp.partition + first + n, name) for n, name in enumerate(names)]
    for one, name in zip(uploads, names, strict=True):
        await store.put(one.original_key, name)
    return records(*uploads, tp=tp, first=first)


def reasons(log: list[Event]) -> list[str]:
    return [event.reason for event in log if isinstance(event, MediaRejected)]


async def test_a_slow_upload_holds_back_its_own_partition_only(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate)
    batch = await gated(store, [b"a0", b"a1"], A) + await gated(store, [b"b0", b"b1"], B)
    applying = asyncio.create_task(bench.apply(batch))
    assert {await gate.started.get(), await gate.started.get()} == {b"a0", b"b0"}
    gate.let(b"b0", b"a1", b"b1")
    assert await gate.started.get() == b"b1"
    while B not in bench.commits.offsets or bench.commits.offsets[B] < 1:
        await asyncio.sleep(0)
    assert reasons(bench.broker.log) == ["b0", "b1"]
    assert bench.commits.offsets == {B: 1}
    gate.let(b"a0")
    await applying
    assert reasons(bench.broker.log) == ["b0", "b1", "a0", "a1"]
    assert bench.commits.offsets == {A: 1, B: 1}


async def test_no_more_uploads_are_in_memory_than_allowed(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate, concurrency=3)
    batch: list[Record] = []
    for partition in range(8):
        names = [f"{partition}-{n}".encode() for n in range(2)]
        batch += await gated(store, names, TopicPartition("media", partition))
    applying = asyncio.create_task(bench.apply(batch))
    waiting = [await gate.started.get() for _ in range(3)]
    for _ in range(len(batch) - 3):
        gate.let(waiting.pop(0))  # the oldest, since another can stand before what is still to come
        waiting.append(await gate.started.get())
    gate.let(*waiting)
    await applying
    assert len(reasons(bench.broker.log)) == 16
    assert gate.most_inside == 3


async def test_what_was_done_before_a_failure_is_not_done_again(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate)
    gate.let(b"a0", b"a1", b"a2")
    batch = await gated(store, [b"a0"], A)
    rest = await gated(store, [b"a1", b"a2"], A, first=1)
    await bench.apply(batch)
    bench.broker.away = 1
    with pytest.raises(StoreAway):
        await bench.apply(batch + rest)
    await bench.apply(batch + rest)
    assert reasons(bench.broker.log) == ["a0", "a1", "a2"]
    assert bench.commits.offsets == {A: 2}


async def test_a_bug_of_ours_is_told_and_nothing_is_left_running(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate)
    gate.let(b"bug", b"b0")
    bench.broker.away = 1
    with pytest.raises(RuntimeError, match="a bug of ours"):
        await bench.apply(await gated(store, [b"b0"], B) + await gated(store, [b"bug"], A))
    assert gate.inside == 0
    assert bench.commits.offsets == {}


async def test_stopping_leaves_nothing_running(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate)
    applying = asyncio.create_task(bench.apply(await gated(store, [b"a0"], A)))
    await gate.started.get()
    others = asyncio.all_tasks() - {asyncio.current_task(), applying}
    applying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await applying
    assert all(task.done() for task in others)
    assert (bench.broker.log, bench.commits.offsets) == ([], {})


class HeldCommits(FailingCommits):
    """Commits that wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.begun = asyncio.Event()

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.begun.set()
        await self.free.wait()
        await super().commit(offsets)


async def test_uploads_go_on_while_one_is_committed_but_a_crash_repeats_only_that_one(store: ObjectStore) -> None:
    gate = Gate()
    commits = HeldCommits()
    bench = Bench(store, gate, commits=commits)
    gate.let(b"a0", b"a1", b"a2")
    applying = asyncio.create_task(bench.apply(await gated(store, [b"a0", b"a1", b"a2"], A)))
    assert [await gate.started.get(), await gate.started.get()] == [b"a0", b"a1"]
    await commits.begun.wait()
    while gate.inside:
        await asyncio.sleep(0)
    for _ in range(50):  # all that could go on now, does
        await asyncio.sleep(0)
    assert reasons(bench.broker.log) == ["a0"], "more than one upload of a partition would be said again"
    commits.free.set()
    await applying
    assert reasons(bench.broker.log) == ["a0", "a1", "a2"]
    assert commits.offsets == {A: 2}


async def test_after_a_failure_no_partition_begins_another_upload(store: ObjectStore) -> None:
    gate = Gate()
    bench = Bench(store, gate)
    gate.let(b"a0", b"b1", b"b2")
    bench.broker.away = 1
    batch = await gated(store, [b"a0"], A) + await gated(store, [b"b0", b"b1", b"b2"], B)
    applying = asyncio.create_task(bench.apply(batch))
    while bench.broker.away:
        await asyncio.sleep(0)
    gate.let(b"b0")
    with pytest.raises(StoreAway):
        await applying
    assert reasons(bench.broker.log) == ["b0"]
    assert bench.commits.offsets == {B: 0}
