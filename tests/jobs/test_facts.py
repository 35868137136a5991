"""Facts on real stores: verified, built anew, gone back from and dropped, and told where they are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.provision import provision
from jobs.replay import replay, rollback
from jobs.replay_report import Wishes
from jobs.train_explore import run as train
from jobs.verify import Report, verify
from jobs.verify_log import LogReader
from jobs.views import drop, status
from schemas.events import Event, PostShared, PostUnshared
from sinks.cassandra import Cassandra
from sinks.clickhouse import ClickHouse
from sinks.co_engagement import co_engagement_folder, read
from sinks.fact_migrations import migrate, show
from sinks.facts import FactSink
from sinks.producer import Producer
from sinks.settings import Settings
from sinks.topics import Topics
from streams.facts import FACTS
from streams.records import Record, Span
from tests.jobs.replay_world import more
from tests.jobs.test_verify import PEOPLE, POSTS_OF, base_of, history


def log_of_facts() -> list[Event]:
    """The history, in which somebody also passes on what they like no more, and takes that back."""
    author = PEOPLE[1]
    about: dict[str, Any] = {**base_of(PEOPLE[0]), "post_id": POSTS_OF[author][2], "author_id": author}
    return [*history(), PostShared(**about), PostUnshared(**about)]


@pytest.fixture
async def world(settings: Settings, clickhouse_url: str) -> AsyncIterator[Settings]:
    """A log, and its facts as an agent leaves them."""
    small = settings.model_copy(update={"partitions": 2, "buckets": 3, "clickhouse_url": clickhouse_url})
    await asyncio.to_thread(provision, small)
    async with Producer(small) as producer:
        await producer.produce_many(log_of_facts())
    await apply(small, 1)
    yield small
    async with await ClickHouse.connect(small) as clickhouse:
        await clickhouse.command(f"DROP DATABASE {small.clickhouse_database} SYNC")
    async with await Cassandra.connect(small) as cassandra:
        await cassandra.change_schema(f"DROP KEYSPACE {small.cassandra_keyspace}")


async def apply(settings: Settings, generation: int) -> None:
    """What the agent does, in one go."""
    topics = Topics(settings)
    ends = topics.ends()
    records: list[Record] = []
    reader = LogReader(settings)
    reader.witness = lambda *given: records.append(Record(*given))
    await asyncio.to_thread(reader.read_to, ends, lambda event, offset, at: None, lambda count: None)
    reader.close()
    async with await ClickHouse.connect(settings, make_database=True) as clickhouse:
        await migrate(clickhouse, generation)
        await show(clickhouse, generation)
        sink = FactSink(clickhouse, generation, topics.ids())
        await sink.apply(FACTS.project(records), {tp: Span(-1, end) for tp, end in ends.items()})


async def verified(settings: Settings) -> Report:
    return await asyncio.to_thread(verify, settings, ("facts",), patience=3, quiet=True)


async def command(settings: Settings, text: str) -> None:
    async with await ClickHouse.connect(settings) as clickhouse:
        await clickhouse.command(text)


async def test_facts_are_verified_built_anew_and_told_where_they_are_wrong(world: Settings) -> None:
    found = await verified(world)
    assert found.differences == 0, list(found.lines(9))
    assert found.views["facts"].checked == found.views["facts"].notes["rows"] == found.events == len(log_of_facts())

    # What is learnt from them: others' posts that are still liked, and nothing that somebody knows already.
    told = await asyncio.to_thread(train, world, days=20_000, dry_run=True)
    assert (told["version"], read(co_engagement_folder(world))) == (None, None)
    told = await asyncio.to_thread(train, world, days=20_000)
    trained = read(co_engagement_folder(world))
    assert trained is not None and trained.version == told["version"]
    assert (told["rows"], told["people"]) == (4 * 3 * 6 - 3, 4)
    given = set(trained.model.recommend(PEOPLE[0], 9))
    assert given - set(POSTS_OF[PEOPLE[0]]) == {POSTS_OF[one][2] for one in PEOPLE[1:]}
    with pytest.raises(ValueError, match="nothing to learn"):
        await asyncio.to_thread(train, world, days=1)

    async with Producer(world) as producer:
        await producer.produce_many(more(50, seed=1))
    await apply(world, 1)
    report = await asyncio.to_thread(replay, world, "facts", Wishes(), quiet=True)
    assert (report.differences, report.flipped, report.generation) == (0, True, 2), list(report.lines(9))
    assert report.compared is not None and report.compared.checked == len(log_of_facts()) + 50
    found = await verified(world)
    assert found.differences == 0, list(found.lines(9))
    said = (await asyncio.to_thread(status, world))["views"]["facts"]
    assert (said["live"], said["stores"], said["lag"]["events"]) == (2, ["clickhouse"], 0)
    assert said["size"]["bytes"] > 0

    await command(world, "ALTER TABLE engagement_2 UPDATE post_id = 1 WHERE _event = 'PostLiked' AND _partition = 0")
    await command(world, "ALTER TABLE graph_2 DELETE WHERE _offset = 3 AND _partition = 1 SETTINGS mutations_sync = 2")
    await command(world, "OPTIMIZE TABLE engagement_2 FINAL")
    found = await verified(world)
    lines = "\n".join(found.lines(9))
    assert found.differences == 2, lines
    assert "rows of PostLiked do not say what the log says" in lines
    assert "rows of Followed, and the log has" in lines
    report = await asyncio.to_thread(replay, world, "facts", Wishes(), quiet=True)
    assert (report.flipped, report.differences) == (False, 2), list(report.lines(9))

    gone_back = await asyncio.to_thread(rollback, world, "facts", quiet=True)
    assert (gone_back.generation, gone_back.flipped) == (1, True)
    assert (await verified(world)).differences == 0
    assert "engagement_2" in await asyncio.to_thread(drop, world, "facts", 2, dry_run=False)
