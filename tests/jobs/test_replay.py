"""Replay on real stores: built, compared, flipped, gone back from and dropped; and nothing of it when asked not to."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs.replay_plan import plan
from jobs.replay_views import VIEWS, UnknownView
from jobs.verify import verify
from jobs.views import drop, status
from schemas.codec import encode
from schemas.events import Followed
from schemas.ids import snowflake
from sinks.adoption import AdoptedGenerations, stored_in
from sinks.errors import LogRemade
from sinks.generations import GenerationLog
from sinks.home_feed_watch import FEEDS
from sinks.producer import Outgoing, Producer
from sinks.search_index import folder_of
from sinks.tables import MOVE_FENCE
from sinks.topics import Topics
from sinks.view_leases import LeaseHeld, ViewLease
from tests.agents.workers import Workers, until, worker_processes
from tests.jobs.replay_world import ReplayProcess, ReplayWorld, more
from tests.jobs.test_verify import AT, PEOPLE, POSTS_OF


async def test_each_view_is_built_anew_gone_back_from_and_dropped(
    world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.replay_halves.START_EVENTS", 0)  # however short the log, read by two processes
    views = [
        view for view in VIEWS if view not in ("facts", "search")
    ]  # which stand elsewhere: test_facts, test_search
    for view in views:
        report = await world.replay(view)
        assert (report.differences, report.flipped, report.taken_over) == (0, True, "nobody"), list(report.lines(9))
        assert report.compared is not None
        assert report.compared.checked > 0
        assert (await world.generations(view)).live == 2
    found = await asyncio.to_thread(verify, world.settings, views, patience=5, quiet=True)
    assert found.differences == 0, list(found.lines(9))

    said = (await asyncio.to_thread(status, world.settings))["views"]
    assert said["facts"]["fences"] is not None, "ClickHouse is away, and nothing else fails of it"
    for view in views:
        assert said[view]["live"] == 2
        assert said[view]["lag"] == {"events": 0, "seconds": 0.0}
        assert (said[view]["verified"]["generation"], said[view]["verified"]["differences"]) == (2, 0)
        assert not said[view]["tainted"]["is"]
    assert said["home_feed"]["size"]["bytes"] > 0

    # What came since then is in the one that is gone back to, and the one that was left can be dropped.
    async with Producer(world.settings) as producer:
        await producer.produce_many(more(50, seed=1))
    lag = (await asyncio.to_thread(status, world.settings))["views"]["home_feed"]["lag"]
    assert lag["events"] == 50 and lag["seconds"] > 0
    for view in ("home_feed", "follows", "posts", "user_posts"):
        report = await world.rollback(view)
        assert (report.generation, report.flipped) == (1, True)
    names = ("home_feed", "follows", "posts", "user_posts")
    found = await asyncio.to_thread(verify, world.settings, names, patience=5, quiet=True)
    assert found.differences == 0, list(found.lines(9))
    with pytest.raises(ValueError, match="is live"):
        await asyncio.to_thread(drop, world.settings, "follows", 1, dry_run=False)
    await asyncio.to_thread(drop, world.settings, "follows", 2, dry_run=False)
    await asyncio.to_thread(drop, world.settings, "home_feed", 2, dry_run=False)
    assert [key async for key in world.redis.scan_iter(match="hf2:*")] == []
    assert said["counters"]["size"]["bytes"] > 0
    assert (await world.rollback("counters")).generation == 1
    await asyncio.to_thread(drop, world.settings, "counters", 2, dry_run=False)
    assert [key async for key in world.redis.scan_iter(match="ct2:*")] == []
    tables = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?"
    there = {row[0] for row in await world.cassandra.execute(tables, (world.settings.cassandra_keyspace,))}
    assert {"followers_1", "accounts_2"} < there
    assert "followers_2" not in there
    # A number is never given twice.
    assert (await world.replay("follows")).generation == 3


async def test_a_wrong_live_view_is_told_and_repaired_only_when_asked(world: ReplayWorld) -> None:
    post = POSTS_OF[PEOPLE[0]][0]
    await world.cassandra.execute(
        "UPDATE posts_1 USING TIMESTAMP 99999999 SET caption = 0x00 WHERE post_id = ?", (post,)
    )
    report = await world.replay("posts")
    assert (report.flipped, report.differences, report.well) == (False, 1, False)
    assert f"posts({post}): caption is 1 sealed bytes in the live generation" in "\n".join(report.lines(5))
    assert (await world.generations("posts")).live == 1
    report = await world.replay("posts", accept_differences=True)
    assert (report.flipped, report.differences, report.resumed) == (True, 1, True)

    missing = POSTS_OF[PEOPLE[2]][5]
    keys = [key async for key in world.redis.scan_iter(match=f"hf1:*:h:{PEOPLE[0]}")]
    await world.redis.lrem(keys[0], 0, str(missing))
    report = await world.replay("home_feed")
    assert not report.flipped
    assert f"feed of {PEOPLE[0]}: post {missing} is only in the new one" in "\n".join(report.lines(5))
    assert (await world.replay("home_feed", accept_differences=True)).flipped

    liked = POSTS_OF[PEOPLE[1]][0]
    keys = [key async for key in world.redis.scan_iter(match=f"ct1:*:l:{liked}:0")]
    await world.redis.srem(keys[0], str(PEOPLE[3]))
    report = await world.replay("counters")
    assert (report.flipped, report.differences) == (False, 1)
    assert f"post {liked}: {PEOPLE[3]} is only counted as likes in the new one" in "\n".join(report.lines(5))
    assert (await world.replay("counters", accept_differences=True)).flipped
    found = await asyncio.to_thread(verify, world.settings, ("home_feed", "posts", "counters"), patience=5, quiet=True)
    assert found.differences == 0, list(found.lines(9))


async def test_what_cannot_be_taken_is_counted_and_taints(world: ReplayWorld) -> None:
    base: dict[str, Any] = {"event_id": snowflake(AT, 4, 0), "at": AT, "actor_id": PEOPLE[0]}
    alone = Followed(**base, follower_id=PEOPLE[0], followee_id=PEOPLE[0])
    async with Producer(world.settings) as producer:
        await producer.write([Outgoing("graph", b"1", b"no event", {}), Outgoing("graph", b"1", encode(alone), {})])
        tp, refused = await producer.produce(alone)
    dead = Topics(world.settings)
    # The live generation passes over the same records.
    ids, ends = dead.ids(), dead.ends()
    for end, offset in ends.items():
        if end.topic == "graph":
            await world.cassandra.execute(MOVE_FENCE, ("follows", 1, *end, ids["graph"], offset, offset + 1))
    report = await world.replay("follows")
    assert (report.met.undecodable, report.met.refused, report.flipped) == (2, 1, True), list(report.lines(9))
    assert any(f"{tp}@{refused} was refused: person {PEOPLE[0]} cannot follow" in line for line in report.lines(0))
    live = (await world.generations("follows")).of(2)
    assert (live.refused, live.built_to[str(tp)]) == (1, refused)
    said = await asyncio.to_thread(status, world.settings)
    assert said["views"]["follows"]["tainted"] == {"is": True, "refused": 1, "dead_letters": 0}
    assert not said["well"]


async def test_nothing_is_changed_where_nothing_may_be(world: ReplayWorld) -> None:
    planned = await asyncio.to_thread(plan, world.settings, "home_feed", fresh=False)
    assert (planned.live, planned.generation, planned.resumes, planned.events) == (1, 2, False, 69)
    assert await asyncio.to_thread(GenerationLog(world.settings).read) == {}
    assert [key async for key in world.redis.scan_iter(match="hf2:*")] == []
    for name, why in (("feeds", "there are accounts, follows"), ("media", "is an emitter")):
        with pytest.raises(UnknownView, match=why):
            await world.replay(name)
    with pytest.raises(LookupError, match="none to go back to"):
        await world.rollback("posts")

    async with ViewLease(world.cassandra, "posts", "another replay"):
        with pytest.raises(LeaseHeld, match="another replay"):
            await world.replay("posts")
        assert await asyncio.to_thread(GenerationLog(world.settings).read) == {}

    # A fence above the log's end: another log, or one that was cut.
    known = (await world.generations("accounts")).begun(1)
    await asyncio.to_thread(GenerationLog(world.settings).write, known)
    topic_id = Topics(world.settings).ids()["accounts"]
    await world.cassandra.execute(MOVE_FENCE, ("accounts", 2, "accounts", 0, topic_id, 10**6, 10**6))
    with pytest.raises(LogRemade, match="--fresh"):
        await world.replay("accounts")
    report = await world.replay("accounts", fresh=True)
    assert (report.generation, report.flipped) == (3, True)


MOMENTS = ("building generation", "loading generation", "catching up", "comparing", "flipping to", "is live")


@pytest.mark.parametrize("view", ["home_feed", "follows"])
async def test_killed_at_any_moment_it_goes_on(world: ReplayWorld, view: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    async with Producer(world.settings) as producer:
        await producer.produce_many(more(1500, seed=2))
    with worker_processes(tmp_path) as workers:
        # Past its floor a feed goes on in the other views.
        worker = workers.start(world.settings, *dict.fromkeys((view, "posts", "user_posts")))
        for words in MOMENTS:
            if words == "loading generation" and view != "home_feed":
                continue
            process = ReplayProcess(world.settings, tmp_path, view, "--rate", "1500")
            await process.says(words)
            await asyncio.sleep(chance.uniform(0, 0.3))  # any moment of the step will do
            await process.kill()
        last = ReplayProcess(world.settings, tmp_path, view)
        assert await last.ends() == 0, last.said
        assert '"taken_over": "agents"' in last.said
        assert '"differences": 0' in last.said
        assert worker.process.poll() is None
    found = await asyncio.to_thread(verify, world.settings, (view,), patience=10, quiet=True)
    assert found.differences == 0, list(found.lines(9))


async def test_readers_see_no_gap_while_people_write(world: ReplayWorld, workers: Workers) -> None:
    """Everybody's feed is read all the time, of the generation that is live then: no post that it showed once, and that
    nobody took away, is ever missing."""
    worker = workers.start(world.settings, "home_feed", "posts", "user_posts")
    await worker.says("home_feed: assigned")
    done = asyncio.Event()
    reads = 0
    folders, feeds = partial(folder_of, world.settings), {FEEDS.name: FEEDS}
    stored = stored_in(world.cassandra, world.redis, feeds, world.settings.buckets, folders)
    adopted = AdoptedGenerations(world.settings, stored)
    await adopted.start()

    async def write() -> None:
        async with Producer(world.settings) as producer:
            for seed in range(3, 1000):
                if done.is_set():
                    return
                posts = [event for event in more(20, seed=seed) if not hasattr(event, "followee_id")]
                await producer.produce_many(posts)
                await asyncio.sleep(0.05)  # a rate, not a barrier

    async def read() -> None:
        nonlocal reads
        newest = dict.fromkeys(PEOPLE, 0)
        while not done.is_set():
            live = adopted["home_feed"]  # as a gateway reads
            for person, skeleton in (await world.feeds(live).skeletons(PEOPLE)).items():
                assert skeleton.ids, f"generation {live} has no feed of {person}"
                assert skeleton.ids[0] >= newest[person], f"generation {live} is behind for {person}"
                newest[person] = skeleton.ids[0]
                reads += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        reading = group.create_task(read())
        try:
            await until("reads", _is_above(lambda: reads, 8))
            report = await world.replay("home_feed")
            assert (report.differences, report.flipped, report.taken_over) == (0, True, "agents")
            back = await world.rollback("home_feed")
            assert (back.flipped, back.taken_over) == (True, "agents")
            await until("the rollback is read", _is_above(lambda: 2 - adopted["home_feed"], 0))
            await until("more reads", _is_above(lambda: reads, reads + 8))
            assert not reading.done()
        finally:
            done.set()
            await adopted.stop()
    found = await asyncio.to_thread(verify, world.settings, ("home_feed",), patience=10, quiet=True)
    assert found.differences == 0, list(found.lines(9))


def _is_above(count: Any, least: int) -> Any:
    async def is_above() -> bool:
        return bool(count() > least)

    return is_above


async def test_a_lease_ends_with_its_owner(world: ReplayWorld) -> None:
    dead = ViewLease(world.cassandra, "posts", "one that was killed", seconds=2)
    await dead.__aenter__()
    assert dead._beating is not None
    dead._beating.cancel()  # as kill -9 would
    async with ViewLease(world.cassandra, "posts", "the next", seconds=2) as lease:
        lease.check()
