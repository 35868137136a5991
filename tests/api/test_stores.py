"""The gateway follows flips: each request reads one generation of a view, and who waits goes over to the new one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from api.consistency import Freshness
from api.problems import Problem
from api.stores import Stores, open_stores
from jobs.provision import provision
from sinks.generations import GenerationLog, Generations, now_ms
from sinks.settings import Settings
from sinks.tables import TableSink
from sinks.topics import Topics
from sinks.view_tables import apply_ddl
from streams.records import Span, TopicPartition
from streams.views import Mark, Upsert

ADA = 7_000_000_000_000_000_000
TP = TopicPartition("accounts", 0)


@pytest.fixture
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    small = {
        "partitions": 1,
        "jwt_secret": "only for tests, and long enough for HS256",
        "consistency_wait_seconds": 20.0,
    }
    settings = settings.model_copy(update=small)
    await asyncio.to_thread(provision, settings)
    async with open_stores(settings) as opened:
        await apply_ddl(opened.cassandra, generation=2)
        yield opened
        await opened.cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")


async def apply(stores: Stores, generation: int, name: bytes, last: int) -> None:
    """Say that ``last`` is applied in one generation, whose account of Ada has this name."""
    ids = await asyncio.to_thread(Topics(stores.settings).ids)
    sink = TableSink(stores.cassandra, "accounts", generation, ids)
    columns = {"username": b"ada", "name": name, "registered_at": 1}
    await sink.apply([Upsert(Mark(TP, last), "accounts", {"user_id": ADA}, columns)], {TP: Span(-1, last)})


async def flip(stores: Stores) -> None:
    """Make generation 2 of the accounts live."""
    flipped = Generations(view="accounts").begun(now_ms()).flipped(2, now_ms())
    await asyncio.to_thread(GenerationLog(stores.settings).write, flipped)


async def name_of(stores: Stores) -> bytes | None:
    """Ada's name, as these stores read it."""
    row = (await stores.accounts.by_ids([ADA])).get(ADA)
    return row.name if row else None


async def test_a_request_stays_in_its_generation_and_the_next_one_goes_on(stores: Stores) -> None:
    await apply(stores, 1, b"old", 3)
    await apply(stores, 2, b"new", 3)
    begun = stores.for_request()
    assert await name_of(begun) == b"old"
    await flip(stores)
    deadline = time.monotonic() + 15
    while await name_of(stores.for_request()) != b"new":
        assert time.monotonic() < deadline, "the flip was never heard of"
    assert await name_of(begun) == b"old"
    assert await stores.for_request().fences.fence("accounts", ADA, TP) == 3


async def test_who_waits_for_a_token_goes_over_to_the_generation_that_gets_there(stores: Stores) -> None:
    """The one that was left stands still: a token would be waited for in vain, and the read fail."""
    await apply(stores, 1, b"old", 3)
    request = stores.for_request()
    waiting = asyncio.create_task(Freshness(request, {TP: 5}).reach(ADA, "accounts"))
    await flip(stores)
    await apply(stores, 2, b"new", 5)
    await waiting
    assert await name_of(request) == b"new"


async def test_a_token_that_nobody_reaches_is_a_503(stores: Stores) -> None:
    settings = stores.settings.model_copy(update={"consistency_wait_seconds": 0.6})
    request = stores.for_request()
    request.settings = settings
    with pytest.raises(Problem, match="not reached") as raised:
        await Freshness(request, {TP: 5}).reach(ADA, "accounts")
    assert raised.value.status_code == 503
