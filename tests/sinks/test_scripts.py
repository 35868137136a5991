"""Lua scripts: loaded once, whoever calls first."""

from __future__ import annotations

import asyncio

import pytest

from sinks.redis import Redis
from sinks.scripts import ScriptCall, Scripts


async def test_who_calls_while_scripts_are_loaded_finds_all_of_them(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = Scripts(redis, {"one": "return 1", "two": "return 2"})
    load, half, go_on = redis.script_load, asyncio.Event(), asyncio.Event()

    async def slowly(text: str) -> str:
        if text == "return 2" and not half.is_set():
            half.set()
            await go_on.wait()
        return await load(text)

    monkeypatch.setattr(redis, "script_load", slowly)
    first = asyncio.create_task(scripts.run([ScriptCall("one", "k", ())]))
    await half.wait()
    assert await scripts.run([ScriptCall("two", "k", ())]) == [2]
    go_on.set()
    assert await first == [1]
