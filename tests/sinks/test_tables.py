"""The contract of the table sink, on memory and on a real Cassandra alike."""

from __future__ import annotations

import asyncio
import random
from itertools import count

import pytest

from schemas.events import Event, Followed, Unfollowed
from sinks.cassandra import Cassandra
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.sink import Sink
from sinks.tables import BATCH_BYTES, BATCH_ROWS, TableSink
from sinks.view_tables import TABLES, apply_ddl, columns_of, ddl, make_tables, view_tables
from streams.follows import project
from streams.records import Record, Span, TopicPartition
from streams.views import Delete, Mark, Upsert
from tests.sinks.table_worlds import CassandraWorld, MemoryWorld, World
from tests.streams.laws import log_of

P0, P1 = TopicPartition("graph", 0), TopicPartition("graph", 1)


@pytest.fixture(params=["memory", "cassandra"])
def world(request: pytest.FixtureRequest) -> World:
    return MemoryWorld() if request.param == "memory" else CassandraWorld(request.getfixturevalue("cassandra"))


def event(follower: int, followee: int, follows: bool = True, at: int = 1) -> Event:
    kind = Followed if follows else Unfollowed
    return kind(event_id=1, at=at, actor_id=follower, follower_id=follower, followee_id=followee)


def history(length: int, seed: int = 1) -> list[Event]:
    rng = random.Random(seed)
    return [event(rng.randint(10, 15), rng.randint(1, 5), rng.random() < 0.6, n) for n in range(length)]


def row(follower: int, followee: int, at: int = 1) -> dict[str, int]:
    return {"followee_id": followee, "follower_id": follower, "followed_at": at}


async def apply(sink: Sink[Upsert | Delete], records: list[Record], prior: dict[TopicPartition, int]) -> None:
    """Apply ``records`` after ``prior``, and move ``prior`` with them."""
    last = dict(prior) | {record.tp: record.offset for record in records}
    await sink.apply(project(records), {tp: Span(prior.get(tp, -1), last[tp]) for tp in last})
    prior.update(last)


async def test_twice_is_once(world: World) -> None:
    log = log_of(history(60))
    records = [one for part in log.values() for one in part]
    await apply(world.sink(), records, {})
    once = await world.rows()
    await apply(world.sink(), records, {})
    assert await world.rows() == once != []
    assert await world.sink().fences(log) == {tp: part[-1].offset for tp, part in log.items()}


async def test_other_boundaries_and_interleavings_give_the_same(world: World) -> None:
    log = log_of(history(60))
    reference = MemoryWorld()
    await apply(reference.sink(), [one for part in log.values() for one in part], {})
    rng = random.Random(5)
    sink, at = world.sink(), dict.fromkeys(log, 0)
    while any(at[tp] < len(log[tp]) for tp in log):
        tp = rng.choice(list(log))
        start = rng.randint(0, at[tp])  # seeks back, as after a rebalance
        end = min(len(log[tp]), at[tp] + rng.randint(1, 5))
        prior = {tp: log[tp][start - 1].offset} if start else {}
        await apply(sink, log[tp][start:end], prior)
        at[tp] = end
    assert await world.rows() == await reference.rows()
    assert await sink.fences(log) == {tp: part[-1].offset for tp, part in log.items()}


async def zombie_is_harmless(world: World) -> None:
    """A worker is paused after it has looked at the fence, and writes its old batch when others are far ahead."""
    old = [Record(P0, 0, 0, event(10, 3)), Record(P0, 1, 0, event(11, 3))]
    new = [Record(P0, 2, 0, event(10, 3, follows=False)), Record(P0, 3, 0, event(11, 3, at=9))]
    paused, wake = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        paused.set()
        await wake.wait()

    zombie = asyncio.create_task(apply(world.sink(before_write=pause), old, {}))
    await paused.wait()
    prior: dict[TopicPartition, int] = {}
    await apply(world.sink(), old, prior)
    await apply(world.sink(), new, prior)
    wake.set()
    await zombie
    assert await world.rows() == [row(11, 3, at=9)]
    assert await world.sink().fences([P0]) == {P0: 3}


async def test_zombie_is_harmless(world: World) -> None:
    await zombie_is_harmless(world)


async def test_zombie_would_harm_without_write_times(world: World) -> None:
    """Where a store stamps writes with its own time, as Cassandra does unless told otherwise, the last to come wins."""
    with pytest.raises(AssertionError):
        await zombie_is_harmless(world.without("timestamps"))


async def test_loss_would_go_unnoticed_without_the_expected_fence() -> None:
    with pytest.raises(pytest.fail.Exception):
        await test_lost_fences_are_noticed_and_nothing_is_applied(MemoryWorld(frozenset({"expected fence"})))


async def test_lost_fences_are_noticed_and_nothing_is_applied(world: World) -> None:
    prior: dict[TopicPartition, int] = {}
    sink = world.sink()
    await apply(sink, [Record(P0, 0, 0, event(10, 3)), Record(P1, 0, 0, event(10, 4))], prior)
    await world.lose_fences()
    with pytest.raises(FenceBehind) as idle:
        await sink.apply([], {P0: Span(0, 0)})
    assert idle.value.positions == {P0: -1}
    with pytest.raises(FenceBehind) as busy:
        await apply(sink, [Record(P1, 1, 0, event(12, 4))], prior)
    assert busy.value.positions == {P0: -1, P1: -1}
    assert await world.rows() == [row(10, 3), row(10, 4)]
    assert await sink.fences([P0, P1]) == {P0: -1, P1: -1}


async def test_remade_topic_is_refused(world: World) -> None:
    await apply(world.sink(), [Record(P0, 0, 0, event(10, 3))], {})
    other = world.sink({"graph": "graph-2"})
    with pytest.raises(LogRemade, match="graph"):
        await other.fences([P0])
    with pytest.raises(LogRemade, match="graph-1"):
        await apply(other, [Record(P0, 1, 0, event(11, 3))], {P0: 0})
    assert await world.rows() == [row(10, 3)]


async def test_idle_call_changes_nothing(world: World) -> None:
    await world.sink().apply([], {P0: Span(-1, -1)})
    await apply(world.sink(), [Record(P0, 4, 0, event(10, 3))], {})
    await world.sink().apply([], {P0: Span(4, 4)})
    await world.sink().apply([], {P0: Span(2, 2)})
    assert await world.sink().fences([P0, P1]) == {P0: 4, P1: -1}


async def test_records_without_a_write_move_the_fence(world: World) -> None:
    await world.sink().apply([], {P0: Span(-1, 7)})
    assert await world.sink().fences([P0]) == {P0: 7}


async def test_store_that_fails_halfway_can_be_called_again(world: World) -> None:
    records = [Record(P0, n, 0, event(10 + n, 3 * n + 3)) for n in range(4)]
    calls = count()

    async def fail() -> None:
        if next(calls) == 3:
            raise StoreAway("gone")

    with pytest.raises(StoreAway):
        await apply(world.sink(before_write=fail), records, {})
    assert await world.sink().fences([P0]) == {P0: -1}
    await apply(world.sink(), records, {})
    assert len(await world.rows()) == 4
    assert await world.sink().fences([P0]) == {P0: 3}


async def test_many_and_large_rows(cassandra: Cassandra) -> None:
    """Batches are cut by rows and by bytes, whole partitions or not."""
    sink = TableSink(cassandra, "posts", 1, {"posts": "p"})
    tp = TopicPartition("posts", 0)
    large = "x" * (BATCH_BYTES // 3)
    writes = [
        Upsert(Mark(tp, n), "posts", {"post_id": n}, {"media": large if n % 10 == 0 else "[]"})
        for n in range(5 * BATCH_ROWS)
    ]
    await sink.apply(writes, {tp: Span(-1, len(writes))})
    rows = await cassandra.execute("SELECT post_id, media, writetime(media) FROM posts_1")
    assert {(one.post_id, len(one.media), one.writetime_media) for one in rows} == {
        (write.key["post_id"], len(write.columns["media"]), write.mark.offset + 1) for write in writes
    }


async def test_ddl_agrees_with_the_declared_tables_and_is_idempotent(cassandra: Cassandra) -> None:
    await apply_ddl(cassandra)
    await apply_ddl(cassandra, generation=2)
    columns = await cassandra.execute(
        "SELECT table_name, column_name, kind, position FROM system_schema.columns WHERE keyspace_name = ?",
        (cassandra.keyspace,),
    )
    keys: dict[str, list[tuple[str, int, str]]] = {}
    for one in columns:
        if one.kind in ("partition_key", "clustering"):
            keys.setdefault(one.table_name, []).append((one.kind, one.position, one.column_name))
    for generation in (1, 2):
        for name, table in TABLES.items():
            first, *rest = table.key
            expected = [("clustering", n, column) for n, column in enumerate(rest)] + [("partition_key", 0, first)]
            assert sorted(keys[f"{name}_{generation}"]) == expected
    assert set(view_tables(2)) <= set(keys)
    assert view_tables(2, "user_posts") == ["user_posts_2"]


async def test_tables_of_an_earlier_version_gain_what_they_lack(cassandra: Cassandra) -> None:
    await cassandra.change_schema("CREATE TABLE accounts_3 (user_id bigint PRIMARY KEY, username blob)")
    await cassandra.execute("INSERT INTO accounts_3 (user_id, username) VALUES (1, 0x75)")
    await make_tables(cassandra, "accounts", 3)
    row = (await cassandra.execute("SELECT user_id, username, links, deactivated FROM accounts_3"))[0]
    assert tuple(row) == (1, b"u", None, None)


def test_columns_are_read_out_of_the_ddl() -> None:
    columns = {made.split()[5]: columns_of(made) for made in ddl(1) if made.startswith("CREATE TABLE")}
    assert columns["person_keys"] == {"user_id": "bigint", "sealing_key": "blob"}
    assert columns["posts_1"]["media_ids"] == "frozen<list<bigint>>"
    assert columns["idempotency"] == {
        "owner": "text",
        "key": "text",
        "fingerprint": "blob",
        "id": "bigint",
        "at": "bigint",
    }
