"""One generation of the home feed in Redis, key by key: to compare it with another one, to measure it, to end it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import NamedTuple

from sinks.redis import Redis, reaching_redis

_SCANNED = 5000
_PIPELINED = 500
_MEASURED = 1000
"""Keys whose memory is asked for; of more, so many are drawn."""


class Name(NamedTuple):
    """A key of a bucket, whatever the generation: ``kind`` as in sinks/home_feed_buckets.py."""

    bucket: int
    kind: str
    user_id: int

    def __str__(self) -> str:
        what = {"f": f"followers in bucket {self.bucket}", "o": "following", "t": "timeline", "h": "feed"}
        return f"{what.get(self.kind, self.kind)} of {self.user_id}"


class Size(NamedTuple):
    """``exact`` where every key was asked; else the mean of a sample, times ``keys``."""

    keys: int
    bytes: int
    exact: bool


class HomeFeedKeys:
    """All keys of one generation."""

    def __init__(self, redis: Redis, generation: int) -> None:
        self._redis = redis
        self._prefix = f"hf{generation}:"

    async def names(self) -> set[Name]:
        """Those that belong to one person each. Raises ``StoreAway``."""
        found: set[Name] = set()
        async for key in self._keys():
            parts = key.decode().split(":")
            if len(parts) == 4 and parts[3].isdigit():
                # Who sleeps in one generation may be awake in the other: all are followers.
                kind = "f" if parts[2] == "z" else parts[2]
                found.add(Name(int(parts[1][1:-1]), kind, int(parts[3])))
        return found

    async def sets(self, names: Sequence[Name]) -> list[set[int]]:
        """The members of sets (kinds ``f``, with those who are asleep, and ``o``); empty for one that is not there.
        Raises ``StoreAway``."""
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                keys = [self._key(name)]
                if name.kind == "f":
                    keys.append(self._key(name._replace(kind="z")))
                pipeline.sunion(keys)
            return [set(map(int, members)) for members in await pipeline.execute()]

    async def timelines(self, names: Sequence[Name]) -> list[tuple[set[int], int]]:
        """(ids above the floor, floor) of timelines. Raises ``StoreAway``."""
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for name in names:
                # List, then floor: a trim in between shows ids that the floor then drops, never too few.
                pipeline.lrange(self._key(name), 0, -1)
                pipeline.hget(f"{self._prefix}{{{name.bucket}}}:floors", f"t{name.user_id}")
            answers = await pipeline.execute()
        found = []
        for posts, stored in zip(answers[0::2], answers[1::2], strict=True):
            floor = int(stored or 0)
            found.append(({post for post in map(int, posts) if post > floor}, floor))
        return found

    async def size(self) -> Size:
        """What it takes in memory. Raises ``StoreAway``."""
        drawn: list[bytes] = []
        keys = 0
        chance = random.Random(1)  # noqa: S311
        async for key in self._keys():
            keys += 1
            if len(drawn) < _MEASURED:
                drawn.append(key)
            elif (place := chance.randrange(keys)) < _MEASURED:
                drawn[place] = key
        async with reaching_redis():
            pipeline = self._redis.pipeline(transaction=False)
            for key in drawn:
                pipeline.memory_usage(key, samples=5)
            taken = sum(filter(None, await pipeline.execute()))
        return Size(keys, round(taken * keys / len(drawn)) if drawn else 0, keys == len(drawn))

    async def unlink(self) -> int:
        """Remove everything, in batches that hold Redis up for a moment each; how many keys. Raises ``StoreAway``."""
        removed = 0
        async with reaching_redis():
            found: list[bytes] = []
            async for key in self._keys():
                found.append(key)
                if len(found) == _PIPELINED:
                    removed += await self._unlink(found)
                    found = []
            return removed + await self._unlink(found)

    async def _unlink(self, keys: Sequence[bytes]) -> int:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.unlink(key)
        return sum(await pipeline.execute())

    def _key(self, name: Name) -> str:
        return f"{self._prefix}{{{name.bucket}}}:{name.kind}:{name.user_id}"

    async def _keys(self) -> AsyncIterator[bytes]:
        seen: set[bytes] = set()  # SCAN may give a key twice while a table grows
        async with reaching_redis():
            async for key in self._redis.scan_iter(match=f"{self._prefix}{{*}}:*", count=_SCANNED):
                if key not in seen:
                    seen.add(key)
                    yield key


def chunks(names: Sequence[Name]) -> list[list[Name]]:
    """``names`` in pieces of one round trip each."""
    rest = iter(names)
    return list(iter(lambda: list(islice(rest, _PIPELINED)), []))
