"""Lua scripts in Redis: loaded once, called by their digest, loaded again where Redis has forgotten them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from sinks.redis import Redis, exchange, reaching_redis, unrefused


class ScriptCall(NamedTuple):
    """One call of ``script``; ``key`` says on which node."""

    script: str
    key: str
    arguments: Sequence[bytes]


def joined(*names: str) -> str:
    """The text of a script that begins with others: the files ``sinks/lua/NAME.lua``, one after the other."""
    lua = files("sinks.lua")
    return "".join((lua / f"{name}.lua").read_text() for name in names)


class Scripts:
    """Some scripts, by name, on one Redis. ``reaching`` turns its absence into ``StoreAway``."""

    def __init__(
        self,
        redis: Redis,
        texts: Mapping[str, str],
        reaching: Callable[[], AbstractAsyncContextManager[None]] = reaching_redis,
    ) -> None:
        self._redis = redis
        self._texts = texts
        self._reaching = reaching
        self._digests: dict[str, str] = {}

    async def run(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """The answers, in one round trip; each call is atomic. Raises ``StoreAway``, and what a script raises once all
        have run."""
        async with self._reaching():
            if not self._digests:
                await self._load()
            answers = await self._evaluate(calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # A restarted Redis has forgotten its scripts. Only the refused calls, which did nothing, are made
                # again: the answers of the others would be lost.
                await self._load()
                refused = [n for n, answer in enumerate(answers) if isinstance(answer, Exception)]
                for n, answer in zip(refused, await self._evaluate([calls[n] for n in refused]), strict=True):
                    answers[n] = answer
            return unrefused(answers)

    async def _load(self) -> None:
        # All at once: others may call while one is loaded and the next one is not.
        self._digests = {name: await self._redis.script_load(text) for name, text in self._texts.items()}

    async def _evaluate(self, calls: Sequence[ScriptCall]) -> list[Any]:
        digests = self._digests
        return await exchange(
            self._redis, [("EVALSHA", digests[script], 1, key, *arguments) for script, key, arguments in calls]
        )
