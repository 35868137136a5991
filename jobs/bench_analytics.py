"""``shutterlog bench analytics``: facts into ClickHouse through the sink, and what analysts' queries take over many.

The yardstick of the inserts is the driver alone: the same blocks, as columns already, into a table like ours without a
projection and without tokens, by turns with the sink: ``facts_through_sink``. The queries are those of
docs/analytics.md, over these and the bulk, ``facts_generated``, which ClickHouse makes itself; ``query_p95_ms`` is over
all their runs.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jobs.bench_scene import AT, middle
from schemas.events import PostSeen
from sinks.clickhouse import ClickHouse
from sinks.fact_migrations import disk_bytes, migrate, show
from sinks.fact_tables import fact_tables
from sinks.facts import FactSink
from sinks.settings import Settings
from streams.facts import FACTS, Fact
from streams.records import Span, TopicPartition
from streams.views import Mark

FACTS_OF_QUERIES = 10_000_000
BLOCKS, BLOCK_ROWS = 20, 50_000
RUNS = 3
PAGE = Path(__file__).resolve().parents[1] / "docs" / "analytics.md"
_TP = TopicPartition("activity", 0)
_START = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 60

_BASE = "_event, _partition, _offset, _at, event_id, at, actor_id"
_META = "'{event}', number % 16, {first} + intDiv(number, 16), made, number, made, 1 + cityHash64(number, 1) % 50000"
_AUTHOR, _POST = (
    "1 + intDiv({post}, 10)",
    "(1 + toInt64(pow(cityHash64(number, 2) / 18446744073709551615, 3) * 200000))",
)
_SHARES: Sequence[tuple[str, str, float, str, str]] = (
    (
        *(
            "activity",
            "PostSeen",
            0.60,
            "viewer_id, post_id, author_id, dwell_ms, surface, hashtags, experiment, variant, model",
        ),
        "1 + cityHash64(number, 1) % 50000, {post}, {author}, cityHash64(number, 3) % 8000, "
        "['feed', 'profile', 'explore', 'post'][1 + number % 4], [concat('tag', toString({post} % 500))], "
        "if(number % 4 = 0, 'order-1', ''), "
        "if(number % 4 = 0, ['latest', 'ranked'][1 + cityHash64(number, 1) % 2], ''), "
        "if(number % 4 = 0 AND cityHash64(number, 1) % 2 = 1, 'm-1', '')",
    ),
    ("activity", "ProfileVisited", 0.04, "viewer_id, profile_id", "1 + cityHash64(number, 1) % 50000, {author}"),
    (
        *("engagement", "PostLiked", 0.20, "post_id, author_id, place"),
        "{post}, {author}, concat('place', toString({post} % 300))",
    ),
    ("engagement", "PostUnliked", 0.01, "post_id, author_id", "{post}, {author}"),
    (
        "engagement",
        "CommentAdded",
        0.03,
        "post_id, author_id, comment_id, spam",
        "{post}, {author}, number, number % 5",
    ),
    ("engagement", "PostSaved", 0.02, "post_id, author_id", "{post}, {author}"),
    ("graph", "Followed", 0.05, "follower_id, followee_id", "1 + cityHash64(number, 1) % 50000, {author}"),
    ("graph", "Unfollowed", 0.005, "follower_id, followee_id", "1 + cityHash64(number, 1) % 50000, {author}"),
    ("accounts", "AccountRegistered", 0.005, "user_id", "1 + number"),
    ("posts", "PostSubmitted", 0.01, "post_id, author_id", "number, 1 + intDiv(number, 10)"),
    ("posts", "PostPublished", 0.01, "post_id, author_id", "number, 1 + intDiv(number, 10)"),
    ("media", "UploadCompleted", 0.005, "media_id", "number"),
    ("media", "RenditionsReady", 0.005, "media_id", "number"),
    ("stories", "StoryViewed", 0.01, "story_id, author_id, completed", "number % 5000, number % 500, number % 3 = 0"),
)
"""Topic, event, its share of all, its own columns, and what they hold."""


def run(facts: int = FACTS_OF_QUERIES, blocks: int = BLOCKS) -> dict[str, object]:
    """``figure`` and ``yardstick`` are rows/s."""
    return asyncio.run(_run(facts, blocks))


async def _run(facts: int, blocks: int) -> dict[str, Any]:
    settings = Settings().model_copy(update={"clickhouse_database": f"bench_{uuid.uuid4().hex[:8]}"})
    async with await ClickHouse.connect(settings, make_database=True, seconds=300) as clickhouse:
        try:
            await migrate(clickhouse, 1)
            await show(clickhouse, 1)
            ours, plain = await _inserted(clickhouse, blocks)
            bytes_a_row = await disk_bytes(clickhouse, 1) / (blocks * BLOCK_ROWS)
            began = time.perf_counter()
            made = await _generated(clickhouse, facts)
            generating = time.perf_counter() - began
            asked = {number: await _asked(clickhouse, text) for number, text in queries().items()}
            size = await disk_bytes(clickhouse, 1) / (made + blocks * BLOCK_ROWS)
        finally:
            await clickhouse.command(f"DROP DATABASE {settings.clickhouse_database} SYNC")
    every = sorted(took for runs in asked.values() for took in runs)
    return {
        "name": "analytics",
        "figure": round(middle(ours)),
        "unit": "facts/s through the sink, in blocks of 50,000",
        "yardstick": round(middle(plain)),
        "yardstick_name": "clickhouse-connect alone, the same blocks as columns already, without our checks",
        "ratio": round(middle(ours) / middle(plain), 2),
        "samples": blocks,
        "facts_through_sink": blocks * BLOCK_ROWS,
        "bytes_per_fact": round(bytes_a_row, 1),
        "bytes_per_generated_fact": round(size, 1),
        "facts_generated": made,
        "facts": made + blocks * BLOCK_ROWS,
        "query_p95_ms": round(every[int(len(every) * 0.95)] * 1000, 1),
        "query_p50_ms": round(middle(every) * 1000, 1),
        "query_ms": {number: round(middle(runs) * 1000, 1) for number, runs in asked.items()},
        "generating_seconds": round(generating, 1),
    }


def queries() -> dict[str, str]:
    """The queries of docs/analytics.md by their number."""
    return dict(re.findall(r"^### (\d+)\. .*?```sql\n(.*?)```", PAGE.read_text(), re.S | re.M))


async def _inserted(clickhouse: ClickHouse, blocks: int) -> tuple[list[float], list[float]]:
    """Rows/s of each block, through the sink and by the driver alone."""
    table = fact_tables()["activity"]
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    await clickhouse.command(
        f"CREATE TABLE plain (_event LowCardinality(String), _partition UInt16, _offset Int64, "
        f"_at DateTime64(3, 'UTC'), {columns}) ENGINE = MergeTree ORDER BY (_event, author_id, _partition, _offset)"
    )
    sink = FactSink(clickhouse, 1, dict.fromkeys(FACTS.sources, "bench"))
    ours, plain = [], []
    for number in range(blocks):
        facts = list(_sights(number * BLOCK_ROWS))
        began = time.perf_counter()
        await sink.apply(facts, {_TP: Span(facts[0].mark.offset - 1, facts[-1].mark.offset)})
        ours.append(BLOCK_ROWS / (time.perf_counter() - began))
        used, values = table.block(facts)
        names, types = [column.name for column in used], [column.type for column in used]
        began = time.perf_counter()
        await clickhouse.insert("plain", names, types, values)
        plain.append(BLOCK_ROWS / (time.perf_counter() - began))
    return ours, plain


def _sights(first: int) -> Iterator[Fact]:
    for offset in range(first, first + BLOCK_ROWS):
        post = offset * 7919 % 20_000
        event = PostSeen(
            event_id=AT + offset,
            at=AT + offset,
            actor_id=offset % 5000,
            viewer_id=offset % 5000,
            post_id=AT + post,
            author_id=AT + post // 10,
            dwell_ms=offset * 31 % 9000,
            surface="feed",
            rank=offset % 30,
            hashtags=["light"] if offset % 3 == 0 else [],
        )
        yield Fact(Mark(_TP, offset), AT + offset, event)


async def _generated(clickhouse: ClickHouse, facts: int) -> int:
    """About so many, made by ClickHouse; how many they are."""
    made = 0
    for topic, event, share, names, values in _SHARES:
        count = max(int(facts * share), 1)
        post = _POST
        filled = values.format(post=post, author=_AUTHOR.format(post=post))
        meta = _META.format(event=event, first=1_000_000_000 + made)
        await clickhouse.command(
            f"INSERT INTO {topic}_1 ({_BASE}, {names}) SELECT {meta}, {filled} FROM (SELECT number, "  # noqa: S608
            f"toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + toIntervalSecond(number * {_DAYS * 86_400} / {count}) "
            f"AS made FROM numbers({count}))"
        )
        made += count
    return made


async def _asked(clickhouse: ClickHouse, text: str) -> list[float]:
    """Seconds of each run of one query."""
    given: Mapping[str, Any] = {
        "since": (_START + timedelta(days=10)).replace(tzinfo=None),
        "until": (_START + timedelta(days=40)).replace(tzinfo=None),
        "person": 17,
        "threshold": 3,
        "experiment": "order-1",
    }
    named = {name: value for name, value in given.items() if f"{{{name}:" in text}
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        await clickhouse.query(text, named)
        took.append(time.perf_counter() - began)
    return took
