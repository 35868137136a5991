"""A sink of facts over a database of one test's own, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.events import TOPICS, Event, Followed, PostLiked, PostUnliked
from sinks.clickhouse import ClickHouse
from sinks.facts import FactSink
from streams.facts import Fact
from streams.records import Span, TopicPartition
from streams.views import Mark

IDS: Mapping[str, str] = {topic: f"id-of-{topic}" for topic in TOPICS}
JULY = 1_783_000_000_000
"""A time in ms, in July 2026; months away from the next one."""
MONTH = 31 * 86_400_000
LIKES = TopicPartition("engagement", 3)
FOLLOWS = TopicPartition("graph", 0)


def like(offset: int, tp: TopicPartition = LIKES, at: int = JULY) -> Fact:
    """A like, and every third time its end."""
    kind: type[Event] = PostUnliked if offset % 3 == 2 else PostLiked
    given: dict[str, Any] = {"post_id": 7 + offset % 5, "author_id": 1 + offset % 2}
    return Fact(Mark(tp, offset), at, kind(event_id=1000 + offset, at=at, actor_id=offset, **given))


def follow(offset: int) -> Fact:
    """A follow."""
    event = Followed(event_id=5000 + offset, at=JULY, actor_id=offset, follower_id=offset, followee_id=1)
    return Fact(Mark(FOLLOWS, offset), JULY, event)


def likes(first: int, last: int) -> list[Fact]:
    """Likes at these offsets, both included."""
    return [like(offset) for offset in range(first, last + 1)]


def sink(clickhouse: ClickHouse, **given: Any) -> FactSink:
    """A worker's sink of generation 1, as it is after a start."""
    return FactSink(clickhouse, 1, IDS, **given)


def spans(*given: tuple[TopicPartition, int, int]) -> dict[TopicPartition, Span]:
    """(partition, prior, last)."""
    return {tp: Span(prior, last) for tp, prior, last in given}


async def offsets(clickhouse: ClickHouse, table: str = "engagement_1") -> list[int]:
    """Every offset in a table, in order, as often as it stands there."""
    rows = await clickhouse.query(f"SELECT _offset FROM {table} ORDER BY _offset")  # noqa: S608
    return [offset for (offset,) in rows]


async def deliver(sink: FactSink, facts: Sequence[Fact], prior: int, last: int | None = None) -> None:
    """A batch of one partition."""
    tp = facts[0].mark.tp
    await sink.apply(facts, spans((tp, prior, facts[-1].mark.offset if last is None else last)))


def in_batches(facts: Sequence[Fact], sizes: Iterable[int]) -> list[Sequence[Fact]]:
    """``facts`` cut into batches of these sizes, and the rest."""
    cut, at = [], 0
    for size in sizes:
        cut.append(facts[at : at + size])
        at += size
    return [batch for batch in (*cut, facts[at:]) if batch]
