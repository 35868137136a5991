"""What readers ask of the trends, and what jobs that compare them do."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Collection, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from sinks.fenced_buckets import lowest_fence
from sinks.home_feed_watch import GenerationWatch
from sinks.redis import Redis, exchange, reaching_redis, unrefused
from sinks.trending import TRENDS, prefix_of
from streams.records import TopicPartition
from streams.trending import KINDS, STEPS_A_DAY, bucket_of_name
from streams.trending_scores import DAY, HALF_LIFE_STEPS, HOUR, WINDOWS, Standing, Trend, Window, most, ranked

LISTED = 500
"""Items of a list; what is further down nobody turns the pages for."""
CANDIDATES = 500
"""Asked of each bucket, by decayed score."""
_AT_ONCE = 500
_PIPELINED = 1000
_decode = msgspec.msgpack.Decoder(tuple[int, list[int], list[int], list[int]]).decode


class Ranked(NamedTuple):
    """An item in a list: its name, how it stands, and how many people turned to it on the days that the window keeps,
    each counted once a day."""

    name: str
    standing: Standing
    people: int


class TrendReader:
    """Reads one generation of the trends. With a ``watch``, as gateways have, it raises ``Healing``, a ``StoreAway``,
    rather than to answer from buckets that lost data and have not come back."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int, watch: GenerationWatch | None = None) -> None:
        self.generation = generation
        self._redis = redis
        self._watch = watch
        self._reaching = watch.circuit.reaching if watch else reaching_redis
        self._prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]

    async def ranked(self, kind: str, window: Window, at_step: int) -> list[Ranked]:
        """The items of ``kind`` that trend at ``at_step`` (of five minutes, since 1970), ``LISTED`` at most, first the
        one that is furthest above what is usual for it; ties by name. Raises ``StoreAway``.

        Looked at in the order of their decayed sums, until not even an item of which nothing is expected could come in.
        """
        key = f"{window.name}:{KINDS[kind]}"
        asked = [("ZREVRANGE", prefix + key, 0, CANDIDATES - 1, "WITHSCORES") for prefix in self._prefixes]
        candidates = [
            (float(score), name.decode())
            for flat in await self._asked(asked)
            for name, score in zip(flat[0::2], flat[1::2], strict=True)
        ]
        candidates.sort(key=lambda one: (-one[0], one[1]))
        best: list[Ranked] = []
        for start in range(0, len(candidates), _AT_ONCE):
            if len(best) == LISTED and most(candidates[start][0], window, at_step) < best[-1].standing.corrected:
                break
            trends = await self.trends([name for _, name in candidates[start : start + _AT_ONCE]])
            best += _with_people(trends, window, at_step)
            best = sorted(best, key=lambda one: (-one.standing.corrected, one.name))[:LISTED]
        return best

    async def trends(self, names: Collection[str]) -> dict[str, Trend]:
        """What is held of those of ``names`` of which anything is. Raises ``StoreAway``."""
        answers = await self._asked([("GET", f"{self._prefix(name)}i:{name}") for name in names])
        return {name: trend_of(held) for name, held in zip(names, answers, strict=True) if held}

    async def velocities(self, post_ids: Sequence[int], at_step: int) -> dict[int, tuple[float, float]]:
        """The decayed weights of posts at ``at_step`` (of five minutes), of ``HOUR`` and of ``DAY``; those alone to
        which enough people turned for them to stand in lists. From the scores, so that hundreds cost little. Raises
        ``StoreAway``."""
        asked: dict[int, list[int]] = {}
        for post_id in post_ids:
            asked.setdefault(bucket_of_name(f"p:{post_id}", len(self._prefixes)), []).append(post_id)
        answers = await self._asked(
            [
                ("ZMSCORE", f"{self._prefixes[bucket]}{window.name}:p", *(f"p:{post_id}" for post_id in some))
                for bucket, some in asked.items()
                for window in (HOUR, DAY)
            ]
        )
        now = at_step / HOUR.scale / HALF_LIFE_STEPS, at_step // DAY.scale / HALF_LIFE_STEPS
        found: dict[int, tuple[float, float]] = {}
        for some, hours, days in zip(asked.values(), answers[0::2], answers[1::2], strict=True):
            for post_id, hour, day in zip(some, hours, days, strict=True):
                if hour is not None or day is not None:
                    found[post_id] = _weight(hour, now[0]), _weight(day, now[1])
        return found

    async def is_listed(self, name: str, window: Window) -> bool:
        """Whether enough people turned to an item for it to stand in the lists of ``window``. Raises ``StoreAway``."""
        (score,) = await self._asked([("ZSCORE", f"{self._prefix(name)}{window.name}:{name[0]}", name)])
        return score is not None

    async def authors(self, trends: dict[str, Trend]) -> dict[str, list[int]]:
        """Some authors of the posts with each tag or place: those whose posts people turned to. Raises
        ``StoreAway``."""
        asked = [(name, day) for name, trend in trends.items() for day in trend.people]
        answers = await self._asked([("ZRANGE", f"{self._prefix(name)}a:{name}:{day}", 0, -1) for name, day in asked])
        found: dict[str, set[int]] = {name: set() for name in trends}
        for (name, _), authors in zip(asked, answers, strict=True):
            found[name].update(map(int, authors))
        return {name: sorted(authors) for name, authors in found.items()}

    async def fence(self, tp: TopicPartition) -> int:
        """Up to which offset of ``tp`` everything is counted; -1 for nothing. Raises ``StoreAway``."""
        return await lowest_fence(self._redis, self._prefixes, tp, self._reaching)

    def _prefix(self, name: str) -> str:
        return self._prefixes[bucket_of_name(name, len(self._prefixes))]

    async def _asked(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """The answers, in one round trip, after which the buckets are still sound."""
        if not commands:
            return []
        expected = self._watch.expected(range(len(self._prefixes))) if self._watch else {}
        looks = [("HMGET", self._prefixes[bucket] + "history", "born", "moves") for bucket in expected]
        async with self._reaching():
            answers = unrefused(await exchange(self._redis, [*commands, *looks]))
        if self._watch:
            self._watch.confirm(expected, answers[len(commands) :])
        return answers[: len(commands)]


def _weight(score: float | bytes | None, now: float) -> float:
    """The decayed sum that a forward-decayed ``score`` stands for."""
    return 0.0 if score is None else math.exp2(min(float(score) - now, 64.0))


def _with_people(trends: dict[str, Trend], window: Window, at_step: int) -> list[Ranked]:
    today = at_step // STEPS_A_DAY
    return [
        Ranked(name, one, sum(n for day, n in trends[name].people.items() if today - window.days < day <= today))
        for name, one in ranked(trends, window, at_step)
    ]


class TrendLists:
    """Lists as they were ranked a moment ago, for one gateway: before any rule, so that everybody can be served from
    them. One that is being ranked is waited for, and not ranked twice."""

    def __init__(self, seconds: float, *, most: int = 64) -> None:
        """Lists are ranked anew after ``seconds``; ``most`` are kept."""
        self._seconds, self._most = seconds, most
        self._lists: dict[tuple[int, str, str, int], tuple[float, asyncio.Task[list[Ranked]]]] = {}

    async def ranked(self, reader: TrendReader, kind: str, window: Window, at_step: int) -> list[Ranked]:
        """See ``TrendReader.ranked``. Raises ``StoreAway``."""
        key = (reader.generation, kind, window.name, at_step)
        now = time.monotonic()
        made, task = self._lists.get(key, (-math.inf, None))
        if task is None or now - made >= self._seconds or (task.done() and (task.cancelled() or task.exception())):
            task = asyncio.create_task(reader.ranked(kind, window, at_step))
            self._lists.pop(key, None)
            self._lists[key] = (now, task)
            while len(self._lists) > self._most:
                del self._lists[next(iter(self._lists))]
        return await asyncio.shield(task)


class Held(NamedTuple):
    """All of an item: its trend, for each day who did what (a value, see streams/trending.py) and the sampled authors,
    and its score in each window in which it stands in lists."""

    trend: Trend
    who: dict[int, dict[int, int]]
    authors: dict[int, list[int]]
    scores: dict[str, float]


class TrendScan:
    """Everything that one generation of the trends holds: for jobs that compare, never for requests."""

    def __init__(self, redis: Redis, *, generation: int, buckets: int) -> None:
        self._redis = redis
        self._prefixes = [prefix_of(generation, bucket) for bucket in range(buckets)]

    async def newest(self) -> dict[str, int]:
        """Every item and its newest day. Raises ``StoreAway``."""
        found: dict[str, int] = {}
        for prefix in self._prefixes:
            async with reaching_redis():
                async for name, day in self._redis.zscan_iter(prefix + "newest", count=5000):
                    found[name.decode()] = int(day)
        return found

    async def listed(self) -> set[tuple[str, str]]:
        """(window, name) of every item in a list, whether or not anything else is held of it. Raises ``StoreAway``."""
        found: set[tuple[str, str]] = set()
        for prefix in self._prefixes:
            for window in WINDOWS:
                for letter in KINDS.values():
                    async with reaching_redis():
                        async for name, _ in self._redis.zscan_iter(f"{prefix}{window}:{letter}", count=5000):
                            found.add((window, name.decode()))
        return found

    async def held(self, names: Collection[str]) -> AsyncIterator[tuple[str, Held]]:
        """Those of ``names`` of which anything is held. Raises ``StoreAway``."""
        rest = iter(names)
        while some := list(islice(rest, _PIPELINED)):
            async with reaching_redis():
                pipeline = self._redis.pipeline(transaction=False)
                for name in some:
                    prefix = self._prefix(name)
                    pipeline.get(f"{prefix}i:{name}")
                    for window in WINDOWS:
                        pipeline.zscore(f"{prefix}{window}:{name[0]}", name)
                answers = iter(await pipeline.execute())
                trends = {name: (next(answers), {window: next(answers) for window in WINDOWS}) for name in some}
                known = {name: (trend_of(raw), scores) for name, (raw, scores) in trends.items() if raw}
                pipeline = self._redis.pipeline(transaction=False)
                for name, (trend, _) in known.items():
                    for day in trend.people:
                        pipeline.hgetall(f"{self._prefix(name)}w:{name}:{day}")
                        pipeline.zrange(f"{self._prefix(name)}a:{name}:{day}", 0, -1)
                answers = iter(await pipeline.execute())
            for name, (trend, scores) in known.items():
                who: dict[int, dict[int, int]] = {}
                authors: dict[int, list[int]] = {}
                for day in trend.people:
                    who[day] = {int(person): int(value) for person, value in next(answers).items()}
                    authors[day] = [int(author) for author in next(answers)]
                standing = {window: value for window, value in scores.items() if value is not None}
                yield name, Held(trend, who, authors, standing)

    def _prefix(self, name: str) -> str:
        return self._prefixes[bucket_of_name(name, len(self._prefixes))]


def trend_of(held: bytes) -> Trend:
    """What a bucket holds under ``i:NAME``."""
    newest, *flat = _decode(held)
    return Trend(newest, *(dict(zip(one[0::2], one[1::2], strict=True)) for one in flat))


__all__ = ["CANDIDATES", "LISTED", "TRENDS", "Held", "Ranked", "TrendReader", "TrendScan", "trend_of"]
