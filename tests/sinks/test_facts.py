"""The sink of facts: each event once, whatever happens between two inserts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from sinks.clickhouse import ClickHouse, Unanswerable
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.fact_migrations import TablesUnfit, drop, migrate, show
from sinks.fact_tables import fact_tables, view_name
from sinks.facts import FactSink
from sinks.settings import Settings
from tests.sinks.fact_worlds import (
    FOLLOWS,
    IDS,
    JULY,
    LIKES,
    MONTH,
    deliver,
    follow,
    in_batches,
    like,
    likes,
    offsets,
    sink,
    spans,
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connected(clickhouse_url: str) -> AsyncIterator[ClickHouse]:
    """A database with every table in it, which the tests of this module hand on, empty."""
    name = f"test_{uuid.uuid4().hex[:10]}"
    settings = Settings(clickhouse_url=clickhouse_url, clickhouse_database=name)
    async with await ClickHouse.connect(settings, make_database=True) as clickhouse:
        await migrate(clickhouse, 1)
        yield clickhouse
        await clickhouse.command(f"DROP DATABASE {name} SYNC")


@pytest_asyncio.fixture(loop_scope="module")
async def clickhouse(connected: ClickHouse) -> AsyncIterator[ClickHouse]:
    yield connected
    for table in ("engagement_1", "graph_1", "fences"):
        await connected.command(f"TRUNCATE TABLE {table}")


pytestmark = pytest.mark.asyncio(loop_scope="module")


class Lossy:
    """A ClickHouse whose answers get lost: the insert is there, or never came, and the sink hears neither."""

    def __init__(self, inner: ClickHouse, arrives: bool) -> None:
        self._inner, self._arrives = inner, arrives
        self.database = inner.database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def insert(self, *given: Any) -> None:
        if self._arrives:
            await self._inner.insert(*given)
        raise StoreAway("the answer got lost")


async def test_rows_are_typed_and_carry_where_the_log_holds_them(clickhouse: ClickHouse) -> None:
    await sink(clickhouse).apply([*likes(0, 4), follow(0)], spans((LIKES, -1, 4), (FOLLOWS, -1, 0)))

    rows = await clickhouse.query(
        "SELECT _event, _topic, _partition, _offset, toUnixTimestamp64Milli(_at), toUnixTimestamp64Milli(at), "
        "event_id, post_id, author_id FROM engagement_1 ORDER BY _offset LIMIT 3"
    )
    assert rows == [
        ("PostLiked", "engagement", 3, 0, JULY, JULY, 1000, 7, 1),
        ("PostLiked", "engagement", 3, 1, JULY, JULY, 1001, 8, 2),
        ("PostUnliked", "engagement", 3, 2, JULY, JULY, 1002, 9, 1),
    ]
    assert await clickhouse.query("SELECT follower_id, followee_id, _topic FROM graph_1") == [(0, 1, "graph")]


async def test_a_batch_delivered_again_with_other_boundaries_changes_nothing(clickhouse: ClickHouse) -> None:
    facts = likes(0, 29)
    await deliver(sink(clickhouse), facts[:20], -1)

    prior = -1
    again = sink(clickhouse)
    for batch in in_batches(facts, [7, 9, 2]):
        await deliver(again, batch, prior)
        prior = batch[-1].mark.offset

    assert await offsets(clickhouse) == list(range(30))
    assert await sink(clickhouse).fences([LIKES]) == {LIKES: 29}


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_insert_whose_answer_got_lost_is_made_once(clickhouse: ClickHouse, arrives: bool) -> None:
    lossy: Any = Lossy(clickhouse, arrives)
    with pytest.raises(StoreAway):
        await deliver(sink(lossy), likes(0, 9), -1)

    restarted = sink(clickhouse)
    fence = (await restarted.fences([LIKES]))[LIKES]
    assert fence == (9 if arrives else -1)
    await deliver(restarted, likes(fence + 1, 14), fence)

    assert await offsets(clickhouse) == list(range(15))


async def test_inserts_that_begin_at_one_offset_are_one_and_what_is_missing_comes_after(clickhouse: ClickHouse) -> None:
    """A zombie's block reaches ClickHouse between the check and the insert of the worker that took over."""
    zombie, worker = sink(clickhouse), sink(clickhouse)
    for one in (zombie, worker):
        await one.fences([LIKES])
    checked, go_on = asyncio.Event(), asyncio.Event()
    rows = worker._rows

    async def held(topics: Sequence[str]) -> dict[Any, int]:
        found = await rows(topics)
        checked.set()
        await go_on.wait()
        return found

    worker._rows = held  # type: ignore[method-assign, assignment]
    late = asyncio.create_task(deliver(worker, likes(0, 19), -1))
    await checked.wait()
    await deliver(zombie, likes(0, 7), -1)
    go_on.set()
    await late  # acknowledged, and yet nothing: its token was there

    with pytest.raises(FenceBehind) as behind:
        await deliver(worker, likes(20, 24), 19)
    assert behind.value.positions == {LIKES: 7}
    await deliver(worker, likes(8, 24), 7)
    assert await offsets(clickhouse) == list(range(25))


async def test_a_table_emptied_behind_its_back_is_filled_again(clickhouse: ClickHouse) -> None:
    worker = sink(clickhouse)
    await deliver(worker, likes(0, 9), -1)
    await clickhouse.command("TRUNCATE TABLE engagement_1")

    with pytest.raises(FenceBehind) as behind:  # the idle call
        await worker.apply([], spans((LIKES, 9, 9)))
    assert behind.value.positions == {LIKES: -1}
    await deliver(worker, likes(0, 9), -1)
    assert await offsets(clickhouse) == list(range(10))


async def test_rows_taken_away_do_not_meet_their_own_token(clickhouse: ClickHouse) -> None:
    worker = sink(clickhouse)
    await deliver(worker, likes(0, 4), -1)
    await deliver(worker, likes(5, 9), 4)
    await clickhouse.command("ALTER TABLE engagement_1 DELETE WHERE _offset >= 5 SETTINGS mutations_sync = 2")

    with pytest.raises(FenceBehind) as behind:
        await worker.apply([], spans((LIKES, 9, 9)))
    assert behind.value.positions == {LIKES: 4}
    await deliver(worker, likes(5, 9), 4)
    assert await offsets(clickhouse) == list(range(10))


async def test_records_without_rows_move_the_fence_for_others_too(clickhouse: ClickHouse) -> None:
    worker = sink(clickhouse)
    await deliver(worker, likes(0, 3), -1, last=6)  # poison, and the marker of a transaction
    await worker.apply([], spans((LIKES, 6, 6)))
    assert await sink(clickhouse).fences([LIKES]) == {LIKES: 6}

    await clickhouse.command("TRUNCATE TABLE engagement_1")
    assert await sink(clickhouse).fences([LIKES]) == {LIKES: -1}
    with pytest.raises(FenceBehind):
        await worker.apply([], spans((LIKES, 6, 6)))
    await deliver(worker, likes(0, 1), -1)
    assert await sink(clickhouse).fences([LIKES]) == {LIKES: 1}
    await deliver(worker, likes(2, 3), 1)
    assert await sink(clickhouse).fences([LIKES]) == {LIKES: 6}


async def test_blocks_end_with_their_month_and_their_size(clickhouse: ClickHouse) -> None:
    facts = [like(offset, at=JULY + (MONTH if offset > 6 else 0)) for offset in range(12)]
    await deliver(sink(clickhouse, block_rows=4), facts, -1)

    assert await offsets(clickhouse) == list(range(12))
    parts = await clickhouse.query(
        "SELECT partition, rows FROM system.parts WHERE database = {database:String} AND table = 'engagement_1' "
        "AND level = 0 AND min_block_number > 0 ORDER BY partition, min_block_number",
        {"database": clickhouse.database},
    )
    assert {month for month, _ in parts} == {"202607", "202608"}
    assert all(rows <= 4 for _, rows in parts)


async def test_a_log_that_was_remade_is_refused(clickhouse: ClickHouse) -> None:
    await deliver(sink(clickhouse), likes(0, 3), -1)
    with pytest.raises(LogRemade, match="replay facts"):
        await FactSink(clickhouse, 1, {**IDS, "engagement": "another"}).fences([LIKES])


async def test_a_new_field_becomes_a_column_and_another_type_is_refused(
    clickhouse: ClickHouse,
) -> None:
    assert await migrate(clickhouse, 1) == []
    await deliver(sink(clickhouse), likes(0, 1), -1)
    await clickhouse.command("ALTER TABLE engagement_1 DROP COLUMN trace_id")

    (change,) = await migrate(clickhouse, 1)
    assert "ADD COLUMN IF NOT EXISTS trace_id String" in change
    await deliver(sink(clickhouse), likes(2, 3), 1)
    assert await clickhouse.query("SELECT _offset, trace_id FROM engagement_1 ORDER BY 1") == [
        (n, "") for n in range(4)
    ]
    ((last,),) = await clickhouse.query("SELECT change FROM migrations ORDER BY made_at DESC LIMIT 1")
    assert last == change

    await clickhouse.command("ALTER TABLE engagement_1 MODIFY COLUMN spam String")
    with pytest.raises(TablesUnfit, match="spam is String"):
        await migrate(clickhouse, 1)
    await clickhouse.command("ALTER TABLE engagement_1 MODIFY COLUMN spam Int64")


async def test_what_stands_is_a_view_of_each_generation_that_a_migration_makes_anew(clickhouse: ClickHouse) -> None:
    await deliver(sink(clickhouse), likes(0, 5), -1)
    during = "(since = '2026-01-01 00:00:00', until = '2027-01-01 00:00:00')"
    counted = f"SELECT kind, count() FROM standing_1{during} GROUP BY kind"  # noqa: S608
    assert await clickhouse.query(counted) == [("like", 4)]
    assert await clickhouse.query(counted.replace("2026-", "2025-").replace("2027-", "2026-")) == []
    await clickhouse.command("CREATE OR REPLACE VIEW standing_1 AS SELECT 1 AS other COMMENT 'of an older build'")
    (change,) = await migrate(clickhouse, 1)
    assert await clickhouse.query(counted) == [("like", 4)]
    assert await migrate(clickhouse, 1) == []
    noted = await clickhouse.query(
        "SELECT version > 0, generation FROM migrations WHERE change = {of:String}", {"of": change}
    )
    assert noted == [(True, 1), (True, 1)]  # when the table was made, too


async def test_views_follow_the_generation_and_a_generation_can_go(clickhouse: ClickHouse) -> None:
    await deliver(sink(clickhouse), likes(0, 5), -1)
    await show(clickhouse, 1)
    assert await clickhouse.query("SELECT count() FROM post_liked") == [(4,)]
    assert await clickhouse.query("SELECT count(), uniqExact(_event) FROM engagement") == [(6, 2)]

    await migrate(clickhouse, 2)
    await show(clickhouse, 2)
    assert await clickhouse.query("SELECT count() FROM post_liked") == [(0,)]
    await show(clickhouse, 1)
    await drop(clickhouse, 2)
    assert await clickhouse.query("SELECT count() FROM post_liked") == [(4,)]
    for gone in ("engagement_2", "standing_2(since = '2026-01-01 00:00:00', until = '2027-01-01 00:00:00')"):
        with pytest.raises(Unanswerable):
            await clickhouse.query(f"SELECT count() FROM {gone}")  # noqa: S608


async def test_a_clickhouse_that_is_away_is_a_store_away() -> None:
    with pytest.raises(StoreAway):
        await ClickHouse.connect(Settings(clickhouse_url="http://127.0.0.1:1", clickhouse_key="x"))


async def test_no_sealed_field_and_every_event_has_its_columns() -> None:
    tables = fact_tables()
    assert "text" not in {column.name for column in tables["engagement"].columns}
    posts = {column.name: column.type for column in tables["posts"].columns}
    assert "caption" not in posts
    assert posts["hashtags"] == "Array(String)"
    assert posts["source_offset"] == "Int64"
    assert posts["media_renditions_width"] == "Array(Array(Int64))"
    assert view_name("PostLiked") == "post_liked"
