"""``shutterlog bench trending``: a real log, replayed fast through the projection and the sink, and what its lists say.

Twice: in the log's order, and with other batches and the partitions the other way round. Every five minutes of event
time around the peak, and every hour elsewhere, the list of the hour's window is read, and must be equal both times.

The burst is *found* once the account that it is about, the one whom most people turned to on the day of the peak,
stands in the first ten. Its rate *rises* in the first step of five minutes, within six hours before its own peak, that
has four times as many interactions as its steps of the six hours before, and a twentieth of its peak's at least.

The figure is events/s of projection and sink; the yardstick, interleaved with it, adds the same weights to one sorted
set by plain ZINCRBY, pipelined: no fences, no people, no decay.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jobs.bench_scene import free_database
from jobs.bench_trending_log import FLOOD, FUTURE, Interaction, forged, made, post_of, read, records
from jobs.plots import Line, Moment, Panel, svg
from schemas.events import CommentAdded, PostLiked, PostShared
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.trending import TrendSink
from sinks.trending_reader import Ranked, TrendReader
from streams.records import Record, Span, TopicPartition
from streams.trending import COMMENTED, LIKED, POSTS, SHARED, STEP_MS, TRENDING, name_of
from streams.trending_scores import HOUR

LOG = Path("../shared/data/events/higgs-activity_time.txt.gz")
_PARTITIONS = 4
_MADE_HOURS = 16
_HOUR = 3_600_000
AROUND = 4
"""Hours before and after the peak in which a list is read every five minutes."""
_FIRST, _FORGED_FIRST, _LEADERS = 10, 50, 5
_BATCHES = (4000, 1500)
_RISE, _OF_PEAK, _BEFORE, _RISE_WITHIN = 4, 0.05, 72, 6 * _HOUR
_WEIGHTS = {PostShared: SHARED, CommentAdded: COMMENTED, PostLiked: LIKED}


def run(
    log: Path | None = None, plot: Path | None = None, most: int | None = None, around: float = AROUND
) -> dict[str, object]:
    """Replay ``log`` (the Higgs log where it is, else one that is made), the first ``most`` lines of it; draw ``plot``.

    Raises ``StoreAway``, ``OSError``, and ``ValueError`` for a log that is none.
    """
    found = log or (LOG if LOG.exists() else None)
    interactions = read(found, most) if found else made(hours=_MADE_HOURS)
    if len(interactions) < 100:
        raise ValueError(f"{found}: {len(interactions)} interactions are too few to replay")
    return asyncio.run(_run(interactions, found.name if found else "made", plot, around))


async def _run(log: Sequence[Interaction], name: str, plot: Path | None, around: float) -> dict[str, object]:
    facts = Facts(log, int(around * _HOUR))
    whole = sorted([*log, *forged(facts.peak - 4 * _HOUR, facts.peak + 2 * _HOUR)])
    settings = Settings()
    client = connect(await free_database(settings.redis_url), seconds=60)
    try:
        replays = [Replay(client, settings, number) for number in range(len(_BATCHES))]
        for replay in replays:
            await replay.run(list(records(whole, _PARTITIONS)), facts.moments())
    finally:
        await client.flushdb()
        await client.aclose()
    first, second = replays
    lists = first.lists
    delays = {str(author): _delay(facts, lists, author) for author in facts.leaders}
    leader = facts.leaders[0]
    rise, found = facts.rise(leader), _found(lists, leader, facts.rise(leader) or facts.peak)
    forgeries = {what: _best_rank(lists, forgery) for what, forgery in (("flood", FLOOD), ("next_year", FUTURE))}
    if plot:
        plot.write_text(_plot(facts, lists, rise, found))
    return {
        "name": "trending",
        "figure": round(len(whole) / first.seconds),
        "unit": "events/s through projection and sink, one process, beside Redis",
        "yardstick": round(len(whole) / first.plain_seconds),
        "yardstick_name": "the same weights by ZINCRBY, pipelined",
        "ratio": round(first.plain_seconds / first.seconds, 3),
        "samples": len(whole),
        "log": name,
        "peak": _clock(facts.peak),
        "leader": str(leader),
        "leader_rise": _clock(rise),
        "leader_found": _clock(found),
        "found_minutes": None if rise is None or found is None else (found - rise) / 60_000,
        "log_rise": _clock(facts.log_rise()),
        "leaders_minutes": delays,
        "forgeries_best_rank": forgeries,
        "forgeries_in_first_50": sum(rank is not None and rank <= _FORGED_FIRST for rank in forgeries.values()),
        "lists": len(lists),
        "lists_unlike": sum(lists[at] != second.lists[at] for at in lists),
        "list_ms": round(1000 * first.list_seconds / max(len(lists), 1), 1),
        "first": [one.name for one in lists[_nearest(lists, facts.peak)][:_FIRST]],
    }


class Facts:
    """What the log itself says, counted apart from any view. Times in ms, steps of five minutes by their beginning."""

    def __init__(self, log: Sequence[Interaction], around: int) -> None:
        self.around = around
        self.total: Counter[int] = Counter()
        self.by_author: dict[int, Counter[int]] = defaultdict(Counter)
        for one in log:
            step = one.at // STEP_MS * STEP_MS
            self.total[step] += 1
            self.by_author[one.author][step] += 1
        self.first, self.last = log[0].at, log[-1].at
        self.peak = max(self.total, key=lambda step: (self.total[step], -step))
        day = self.peak // 86_400_000
        people: dict[int, set[int]] = defaultdict(set)
        for one in log:
            if one.at // 86_400_000 == day and one.person != one.author:
                people[one.author].add(one.person)
        self.leaders = sorted(people, key=lambda author: (-len(people[author]), author))[:_LEADERS]
        """Whom the most people turned to on the day of the peak."""

    def rise(self, author: int) -> int | None:
        """When the rate of ``author`` rose; None where it never did."""
        return _rise(self.by_author[author])

    def log_rise(self) -> int | None:
        """When the rate of the whole log rose."""
        return _rise(self.total)

    def moments(self) -> list[int]:
        """When lists are read."""
        near = range(self.peak - self.around, self.peak + self.around + 1, STEP_MS)
        hours = range(self.first // _HOUR * _HOUR + _HOUR, self.last + _HOUR, _HOUR)
        return sorted({*hours, *(at for at in near if self.first < at <= self.last)})


def _rise(counts: Mapping[int, int]) -> int | None:
    peak = max(counts, key=lambda step: (counts[step], -step))
    for step in range(peak - _RISE_WITHIN, peak + 1, STEP_MS):
        usual = sum(counts.get(step - n * STEP_MS, 0) for n in range(1, _BEFORE + 1)) / _BEFORE
        if counts.get(step, 0) >= max(_RISE * usual, _OF_PEAK * counts[peak], 1):
            return step
    return None


@dataclass
class Replay:
    """One replay, into a generation of its own."""

    client: Redis
    settings: Settings
    number: int
    lists: dict[int, list[Ranked]] = field(default_factory=dict)
    """Moment → the list of the hour's window just before it."""
    seconds: float = 0.0
    plain_seconds: float = 0.0
    list_seconds: float = 0.0

    async def run(self, log: Sequence[Record], moments: Sequence[int]) -> None:
        """Apply all of ``log`` and read the lists. Raises ``StoreAway``."""
        settings, generation = self.settings, self.number + 1
        sink = TrendSink(
            self.client,
            {"engagement": "bench"},
            generation=generation,
            buckets=settings.buckets,
            least_people=settings.trending_least_people,
        )
        reader = TrendReader(self.client, generation=generation, buckets=settings.buckets)
        reached: dict[TopicPartition, int] = {}
        start = 0
        for moment in moments:
            end = start
            while end < len(log) and log[end].timestamp < moment:
                end += 1
            some = log[start:end]
            if self.number:  # the other way round, partition by partition
                some = sorted(some, key=lambda record: (-record.tp.partition, record.offset))
            start = end
            for at in range(0, len(some), _BATCHES[self.number]):
                await self._apply(sink, some[at : at + _BATCHES[self.number]], reached)
            began = time.perf_counter()
            self.lists[moment] = await reader.ranked(POSTS, HOUR, moment // STEP_MS - 1)
            self.list_seconds += time.perf_counter() - began

    async def _apply(self, sink: TrendSink, some: Sequence[Record], reached: dict[TopicPartition, int]) -> None:
        last = {record.tp: record.offset for record in some}
        began = time.perf_counter()
        await sink.apply(TRENDING.project(some), {tp: Span(reached.get(tp, -1), at) for tp, at in last.items()})
        self.seconds += time.perf_counter() - began
        reached.update(last)
        if self.number:
            return
        began = time.perf_counter()
        pipeline = self.client.pipeline(transaction=False)
        for record in some:
            pipeline.zincrby("plain", _WEIGHTS[type(record.event)], record.event.key)
        await pipeline.execute()
        self.plain_seconds += time.perf_counter() - began


def _found(lists: Mapping[int, Sequence[Ranked]], author: int, since: int) -> int | None:
    """The first moment after ``since`` at which the post of ``author`` stands among the first ten."""
    name = name_of(POSTS, post_of(author))
    return next(
        (at for at in sorted(lists) if at > since and name in [one.name for one in lists[at][:_FIRST]]),
        None,
    )


def _delay(facts: Facts, lists: Mapping[int, Sequence[Ranked]], author: int) -> float | None:
    rise = facts.rise(author)
    found = None if rise is None else _found(lists, author, rise)
    return None if rise is None or found is None else (found - rise) / 60_000


def _best_rank(lists: Mapping[int, Sequence[Ranked]], forgery: int) -> int | None:
    name = name_of(POSTS, post_of(forgery))
    ranks = [n for found in lists.values() for n, one in enumerate(found, 1) if one.name == name]
    return min(ranks, default=None)


def _nearest(lists: Mapping[int, object], at: int) -> int:
    return min(lists, key=lambda moment: (abs(moment - at), moment))


def _clock(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plot(facts: Facts, lists: Mapping[int, Sequence[Ranked]], rise: int | None, found: int | None) -> str:
    around = [at for at in sorted(lists) if abs(at - facts.peak) <= facts.around and not at % STEP_MS]
    steps = range(facts.peak - facts.around, facts.peak + facts.around, STEP_MS)
    rates = [Line("all", [(at, facts.total[at]) for at in steps])]
    scores = []
    for author in facts.leaders:
        rates.append(Line(f"account {author}", [(at, facts.by_author[author][at]) for at in steps]))
        name = name_of(POSTS, post_of(author))
        stands = {at: next((one.standing.corrected for one in lists[at] if one.name == name), 0.0) for at in around}
        scores.append(Line(f"account {author}", [(at, max(score, 0.0)) for at, score in stands.items()]))
    tenth = {at: lists[at][_FIRST - 1].standing.corrected for at in around if len(lists[at]) >= _FIRST}
    if tenth:
        scores.append(Line("tenth in the list", list(tenth.items())))
    moments = [
        Moment(at, f"account {facts.leaders[0]} {what}") for at, what in ((rise, "rises"), (found, "found")) if at
    ]
    panels = [Panel("interactions in five minutes", rates[1:]), Panel("score: how far above what is usual", scores)]
    return svg("Trending over the log's burst, 1 h half-life, event time", [Panel("all", rates[:1]), *panels], moments)
