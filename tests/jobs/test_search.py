"""Search on real stores: its agent, verified, built anew, gone back from and dropped, and told where it is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobs.provision import provision
from jobs.replay import replay, rollback
from jobs.replay_report import Wishes
from jobs.verify import Report, verify
from jobs.views import drop, status
from schemas.events import AccountDeactivated, AccountRegistered, Event, PostEdited, PostSubmitted, PrivacyChanged
from schemas.ids import snowflake
from sinks.cassandra import Cassandra
from sinks.person_keys import PersonKeys
from sinks.producer import Producer
from sinks.sealing import new_key, seal
from sinks.search import SearchSink
from sinks.search_index import Writing, folder_of, held, open_index
from sinks.search_reader import SearchReader
from sinks.search_rows import NameRow
from sinks.settings import Settings
from sinks.topics import Topics
from tests.agents.workers import Workers, until
from tests.jobs.replay_world import SMALL, more
from tests.jobs.test_verify import AT, PEOPLE, history

SLOW = 90.0
"""Seconds that a worker may take on a machine that runs everything at once."""
KEYS = {person: new_key() for person in PEOPLE}


def sealed_history() -> list[Event]:
    """``history`` with names and captions that can be opened, hashtags, somebody private and somebody gone."""
    events: list[Event] = []
    for event in history():
        who = event.actor_id
        if isinstance(event, AccountRegistered):
            event = _with(
                event, username=seal(KEYS[who], who, f"user{PEOPLE.index(who)}"), name=seal(KEYS[who], who, "N")
            )
        elif isinstance(event, PostSubmitted | PostEdited):
            event = _with(event, caption=seal(KEYS[who], who, f"caption {who}"), hashtags=["dusk"], place="Kotor")
        events.append(event)
    base: dict[str, Any] = {"event_id": snowflake(AT, 4, 1), "at": AT}
    events.append(PrivacyChanged(**base, actor_id=PEOPLE[0], user_id=PEOPLE[0], private=True))
    events.append(AccountDeactivated(**base, actor_id=PEOPLE[3], user_id=PEOPLE[3]))
    return events


def _with(event: Event, **fields: Any) -> Event:
    return type(event)(**{name: getattr(event, name) for name in event.__struct_fields__} | fields)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[Settings]:
    small = settings.model_copy(update=SMALL)
    await asyncio.to_thread(provision, small)
    async with await Cassandra.connect(small) as cassandra:
        await PersonKeys(cassandra).create_many(KEYS)
        async with Producer(small) as producer:
            await producer.produce_many(sealed_history())
        yield small
        await cassandra.change_schema(f"DROP KEYSPACE {small.cassandra_keyspace}")


async def verified(settings: Settings) -> Report:
    return await asyncio.to_thread(verify, settings, ("search",), patience=3, quiet=True)


async def test_search_is_verified_built_anew_and_told_where_it_is_wrong(world: Settings, workers: Workers) -> None:
    worker = workers.start(world, "search")
    await worker.says("search: assigned", seconds=SLOW)
    ends = await asyncio.to_thread(Topics(world).ends)
    async with await Cassandra.connect(world) as cassandra:
        sink = SearchSink(world, PersonKeys(cassandra), 1, await asyncio.to_thread(Topics(world).ids))
        mine = {tp: end for tp, end in ends.items() if tp.topic in ("accounts", "graph", "posts")}

        async def reached() -> bool:
            held = await sink.fences(list(mine))
            return all(held[tp] >= end for tp, end in mine.items())

        await until("the agent has it all", reached, SLOW)
    found = await verified(world)
    assert found.differences == 0, list(found.lines(9))
    # Three people can be found, the five posts that each of them left, and the names that two of them use in public.
    assert found.views["search"].checked == 3 + 3 * 5 + 2
    hits = await SearchReader(folder_of(world, 1)).people("user", [], None, 10)
    assert {hit.key for hit in hits} == {f"u:{person}" for person in PEOPLE[:3]}

    report = await asyncio.to_thread(replay, world, "search", Wishes(), quiet=True)
    assert (report.differences, report.flipped) == (0, True), list(report.lines(9))
    assert report.compared is not None and report.compared.checked == 20
    await worker.says("search: goes on in generation 2", seconds=SLOW)
    async with Producer(world) as producer:
        await producer.produce_many(more(20, seed=5))
    found = await verified(world)
    assert found.differences == 0, list(found.lines(9))
    said = (await asyncio.to_thread(status, world))["views"]["search"]
    assert (said["live"], said["stores"], said["fences"]) == (2, ["folder"], None) and said["size"]["bytes"] > 0

    gone_back = await asyncio.to_thread(rollback, world, "search", quiet=True)
    assert (gone_back.differences, gone_back.generation) == (0, 1), list(gone_back.lines(9))
    folder = folder_of(world, 2)
    assert await asyncio.to_thread(drop, world, "search", 2, dry_run=False) == [str(folder)]
    assert not folder.exists()

    await worker.kill()
    await asyncio.to_thread(spoil, folder_of(world, 1))
    found = await verified(world)
    assert sorted(found.views["search"].found.values()) == [
        "l:Kotor is missing in the index",
        "p:1 can be found, and by the log it cannot",
        "t:dusk does not say in the index what the log says",
        f"u:{PEOPLE[1]} is missing in the index",
        f"u:{PEOPLE[1]} is not found by the username",
    ]


def spoil(folder: Path) -> None:
    """As nobody who keeps to the rows would write."""
    index = open_index(folder)
    fences = held(index)
    writing = Writing(index)
    writing.remove(["l:Kotor", "t:dusk", f"u:{PEOPLE[1]}"])
    writing.name(NameRow("t:dusk", 3, []))
    writing.post(1, 1, "nobody said so")
    writing.commit(fences)
