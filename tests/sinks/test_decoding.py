"""Decoding processes: limits that hold, and an agent that outlives whatever a picture does."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sinks import decoding
from sinks.decoding import TRIES, DecodePool
from sinks.pictures import Rejected
from sinks.renditions import render
from tests.sinks.corpus import FOLDERS, needs_corpus
from tests.sinks.scenes import encoded, scene

MEMORY_MIB = 512
PIXELS = 60_000_000


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What the misbehaving decoder was asked so far."""
    log = tmp_path / "tried"
    monkeypatch.setenv("MISBEHAVIOUR_LOG", str(log))
    return lambda: log.read_text().split() if log.exists() else []


def misbehaving(seconds: float = 20.0, workers: int = 1) -> DecodePool:
    return DecodePool(workers, seconds, 200, program="tests.sinks.misbehaving_decoder")


async def rejection(pool: DecodePool, original: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await pool.render(original)
    return caught.value


async def test_a_worker_answers_as_render_does() -> None:
    async with DecodePool(1, 20.0, MEMORY_MIB, pixel_limit=PIXELS) as pool:
        original = encoded(scene(1300, 900), "JPEG")
        assert await pool.render(original) == render(original, pixel_limit=PIXELS)
        assert (await rejection(pool, b"hello")).code == "unsupported_type"
        assert (await rejection(pool, b"")).code == "empty"
        assert 10 < pool.peak_memory_mib < MEMORY_MIB


async def test_a_worker_cannot_address_more_memory_than_it_may_use() -> None:
    async with DecodePool(1, 20.0, MEMORY_MIB) as pool:
        limits = Path(f"/proc/{pool._workers[0].pid}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max address space"))
        assert line.split()[3:5] == [str(MEMORY_MIB * 1024 * 1024)] * 2


async def test_workers_work_side_by_side_and_stay_warm() -> None:
    async with DecodePool(2, 20.0, MEMORY_MIB) as pool:
        processes = [worker.pid for worker in pool._workers]
        originals = [encoded(scene(200 + index, 100), "PNG") for index in range(12)]
        results = await asyncio.gather(*(pool.render(original) for original in originals))
        assert [result.width for result in results] == [200 + index for index in range(12)]
        assert [worker.pid for worker in pool._workers] == processes
        assert all(worker.answered for worker in pool._workers)


async def test_a_worker_that_dies_is_tried_again(tried: Callable[[], list[str]]) -> None:
    async with misbehaving() as pool:
        assert (await rejection(pool, b"once-die")).reason == "fine"
        assert tried() == ["once-die"] * 2


@pytest.mark.parametrize("word", ["die", "babble"])
async def test_a_picture_that_always_breaks_the_decoder_is_refused(word: str, tried: Callable[[], list[str]]) -> None:
    async with misbehaving() as pool:
        assert (await rejection(pool, word.encode())).code == "decoder_crashed"
        assert tried() == [word] * TRIES
        assert (await rejection(pool, b"next")).reason == "next", "the pool goes on"


async def test_a_timeout_under_load_is_tried_again(tried: Callable[[], list[str]]) -> None:
    async with misbehaving(seconds=0.7) as pool:
        assert (await rejection(pool, b"once-hang")).reason == "fine"
        assert (await rejection(pool, b"hang")).code == "too_slow"
        assert tried() == ["once-hang"] * 2 + ["hang"] * TRIES


async def test_a_picture_that_is_slow_by_itself_is_tried_once(
    tried: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "BUSY_SHARE", 0.1)  # the machine that runs this may be loaded
    async with misbehaving(seconds=3.0) as pool:
        rejected = await rejection(pool, b"spin")
        assert rejected.code == "too_slow" and not rejected.retryable
        assert tried() == ["spin"]


async def test_memory_is_limited_and_only_a_fresh_worker_decides(tried: Callable[[], list[str]]) -> None:
    async with misbehaving() as pool:
        await rejection(pool, b"warm")
        rejected = await rejection(pool, b"devour")
        assert rejected.code == "out_of_memory" and not rejected.retryable
        assert tried() == ["warm", "devour", "devour"], "once in the warm worker, once in a fresh one"


async def test_a_cancelled_call_leaves_the_pool_usable(tried: Callable[[], list[str]]) -> None:
    async with misbehaving() as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await pool.render(b"hang")
        async with asyncio.timeout(10):
            assert (await rejection(pool, b"next")).reason == "next", "not behind the abandoned picture"


async def test_a_program_that_does_not_start_is_no_fault_of_the_picture() -> None:
    with pytest.raises(RuntimeError, match="does not start"):
        async with DecodePool(2, 5.0, MEMORY_MIB, program="sinks.no_such_program"):
            pass


async def test_a_worker_that_starts_late_ends_with_the_pool_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    start_process, started = asyncio.create_subprocess_exec, list[asyncio.subprocess.Process]()
    calls, failed = itertools.count(), asyncio.Event()

    async def one_by_one(*arguments: str, **options: Any) -> asyncio.subprocess.Process:
        if next(calls):
            await failed.wait()
            for _ in range(20):  # turns of the loop, in which the failure goes up to the pool
                await asyncio.sleep(0)
        started.append(await start_process(*arguments, **options))
        return started[-1]

    async def end(worker: decoding._Worker) -> None:
        await ended(worker)
        failed.set()

    ended = decoding._Worker.end
    monkeypatch.setattr(asyncio, "create_subprocess_exec", one_by_one)
    monkeypatch.setattr(decoding._Worker, "end", end)
    with pytest.raises(RuntimeError, match="does not start"):
        async with DecodePool(2, 5.0, MEMORY_MIB, program="sinks.no_such_program"):
            pass
    assert [process.returncode is None for process in started] == [False, False]


async def test_a_killed_worker_costs_a_try_only() -> None:
    async with DecodePool(1, 20.0, MEMORY_MIB) as pool:
        call = asyncio.create_task(pool.render(encoded(scene(4000, 3000), "PNG", compress_level=1)))
        await asyncio.sleep(0.05)
        pid = pool._workers[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert (await call).width == 4000
        assert pool._workers[0].pid != pid


async def test_workers_end_with_an_agent_that_is_killed() -> None:
    program = """
import asyncio, sys
from sinks.decoding import DecodePool
async def main():
    async with DecodePool(1, 20.0, 512) as pool:
        print(pool._workers[0].pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert agent.stdout is not None
    worker = int(await agent.stdout.readline())
    agent.kill()
    await agent.wait()
    deadline = time.monotonic() + 10
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlives its agent"
        await asyncio.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("kind", "mode", "megapixels", "options"),
    [
        ("JPEG", "RGB", 59, {"progressive": True, "subsampling": 0}),
        ("PNG", "RGBA", 59, {"compress_level": 1}),
        ("HEIF", "RGB", 48, {"quality": 30}),
        ("WEBP", "RGBA", 24, {"method": 0, "quality": 30}),
        ("AVIF", "RGBA", 33, {"speed": 10, "quality": 30}),
    ],
)
async def test_the_largest_pictures_allowed_fit_into_a_worker(
    kind: str, mode: str, megapixels: int, options: dict[str, int]
) -> None:
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    original = encoded(scene(width, width * 3 // 4, mode), kind, **options)
    async with DecodePool(1, 60.0, MEMORY_MIB, pixel_limit=PIXELS) as pool:
        assert (await pool.render(original)).width == width
        assert pool.peak_memory_mib < MEMORY_MIB


@needs_corpus
async def test_one_worker_survives_every_shared_picture_within_its_memory() -> None:
    wrong = []
    async with DecodePool(1, 20.0, MEMORY_MIB, pixel_limit=PIXELS) as pool:
        worker = pool._workers[0].pid
        for fact in (fact for folder in sorted(FOLDERS) for fact in FOLDERS[folder]):
            try:
                result = await pool.render(fact.original)
            except Rejected as rejected:
                if fact.decodable or rejected.code in {"decoder_crashed", "too_slow", "out_of_memory"}:
                    wrong.append(f"{fact.path}: {rejected}")
            else:
                if not fact.decodable or (result.width, result.height) != fact.size:
                    wrong.append(f"{fact.path}: rendered as {result.width} × {result.height}")
        assert not wrong, "\n".join(wrong)
        assert pool._workers[0].pid == worker, "the same process from the first picture to the last"
        assert 50 < pool.peak_memory_mib < MEMORY_MIB
