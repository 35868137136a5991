"""One generation of the home feed in Redis, key by key: to compare it with another one, to measure it, to end it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from sinks.home_feed_buckets import HOME_FEEDS, Feeds
from sinks.redis import Redis, reaching_redis
from sinks.redis_keys import GenerationKeys

_SCANNED = 5000
_PIPELINED = 500


class Name(NamedTuple):
    """A key of a bucket, whatever the generation: ``kind`` as in sinks/home_feed_buckets.py."""

    bucket: int
    kind: str
    user_id: int

    def __str__(self) -> str:
        what = {"f": f"followers in bucket {self.bucket}", "o": "following", "t": "timeline", "h": "feed"}
        return f"{what.get(self.kind, self.kind)} of {self.user_id}"


class HomeFeedKeys(GenerationKeys):
    """All keys of one generation."""

    def __init__(self, redis: Redis, generation: int, feeds: Feeds = HOME_FEEDS) -> None:
        super().__init__(redis, f"{feeds.prefix}{generation}:")

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

    def _key(self, name: Name) -> str:
        return f"{self._prefix}{{{name.bucket}}}:{name.kind}:{name.user_id}"


def chunks(names: Sequence[Name]) -> list[list[Name]]:
    """``names`` in pieces of one round trip each."""
    rest = iter(names)
    return list(iter(lambda: list(islice(rest, _PIPELINED)), []))
