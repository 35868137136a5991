"""A copy of a Redis that writes is one that Redis starts from."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.chaos_saves import copy_aof
from jobs.services.addresses import choose_ports
from jobs.services.redis import binary, configuration
from sinks.redis import AWAY, Redis, connect
from tests.agents.workers import until

FILES = "appendonlydir"


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    """A Redis of its own, in ``tmp_path``."""
    (port,) = choose_ports("redis", free_ports=True, remembered={}).values()
    conf = tmp_path / "redis.conf"
    conf.write_text(configuration(tmp_path, port))
    with subprocess.Popen([binary(), conf], stdout=subprocess.DEVNULL) as server:  # noqa: S603 - our own service
        client = connect(f"redis://127.0.0.1:{port}/0", seconds=10)

        async def answers() -> bool:
            try:
                return bool(await client.ping())
            except AWAY:
                return False

        try:
            await until("Redis answers", answers)
            yield client
        finally:
            await client.aclose()
            server.send_signal(signal.SIGKILL)


async def test_no_copy_is_taken_while_files_are_replaced(redis: Redis, tmp_path: Path) -> None:
    if not (tmp_path / FILES).exists():
        pytest.skip("this Redis is older than 7 and has one file, which chaos does not copy")
    await redis.mset({f"key {number}": number for number in range(1000)})
    await redis.config_set("rdb-key-save-delay", 1000)  # microseconds: the rewrite takes a second
    await redis.bgrewriteaof()
    copy = tmp_path / "copy"
    await copy_aof(redis, tmp_path / FILES, copy)
    persistence = await redis.info("persistence")
    assert not persistence["aof_rewrite_in_progress"], "it was waited for"
    named = re.findall(r"^file (\S+)", (copy / "appendonly.aof.manifest").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(path.name for path in copy.glob("*.?*.*.*"))
    assert "appendonly.aof.2.base.rdb" in named, "the rewritten one"


async def test_no_rewrite_begins_meanwhile(redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILES).mkdir(exist_ok=True)
    name = "auto-aof-rewrite-percentage"
    loop = asyncio.get_running_loop()
    meanwhile: list[object] = []

    async def ask() -> object:
        return await redis.config_get(name)

    def full(*_: object) -> None:
        meanwhile.append(asyncio.run_coroutine_threadsafe(ask(), loop).result(10))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space left"):
        await copy_aof(redis, tmp_path / FILES, tmp_path / "copy")
    assert meanwhile == [{name: "0"}]
    assert (await redis.config_get(name)) == {name: "100"}, "as it was"
