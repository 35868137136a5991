"""The bridge to Cassandra, on a real one, with a line to it that a test can cut."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from sinks.cassandra import LOCAL_ONE, Cassandra, KeyspaceMissing
from sinks.errors import StoreAway
from sinks.settings import Settings
from tests.lines import Line


@pytest.fixture
async def line(cassandra_hosts: str) -> AsyncIterator[Line]:
    opened = Line(cassandra_hosts)
    await opened.open()
    yield opened
    await opened.cut()


def over(line: Line, settings: Settings) -> Settings:
    return settings.model_copy(update={"cassandra_hosts": f"127.0.0.1:{line.port}"})


async def test_conditional_statements_say_whether_they_applied(cassandra: Cassandra) -> None:
    insert = "INSERT INTO accounts_1 (user_id, name) VALUES (?, ?) IF NOT EXISTS"
    (first,) = await cassandra.execute(insert, (1, b"a"))
    (second,) = await cassandra.execute(insert, (1, b"b"))
    assert first.applied is True
    assert (second.applied, second.name) == (False, b"a")


async def test_pages(cassandra: Cassandra) -> None:
    insert = "INSERT INTO followers_1 (followee_id, follower_id) VALUES (?, ?)"
    await cassandra.apply_batch([(insert, (1, n)) for n in range(95)], consistency=LOCAL_ONE)
    select = "SELECT follower_id FROM followers_1 WHERE followee_id = ?"
    pages = [[row.follower_id for row in page] async for page in cassandra.pages(select, (1,), page_rows=30)]
    assert [len(page) for page in pages if page] == [30, 30, 30, 5]
    assert [one for page in pages for one in page] == list(range(95))
    assert len(await cassandra.execute(select, (1,))) == 95


async def test_each_answers_in_order_and_waits_for_all(cassandra: Cassandra) -> None:
    insert = "INSERT INTO accounts_1 (user_id, registered_at) VALUES (?, ?)"
    await cassandra.execute_each((insert, (n, n * n)) for n in range(300))
    select = "SELECT registered_at FROM accounts_1 WHERE user_id = ?"
    answers = await cassandra.execute_each((select, (n,)) for n in range(300))
    assert [rows[0].registered_at for rows in answers] == [n * n for n in range(300)]
    with pytest.raises(Exception, match="nowhere"):
        await cassandra.execute_each([("SELECT * FROM nowhere", ()), (insert, (1000, 1))])
    assert (await cassandra.execute(select, (1000,)))[0].registered_at == 1


async def test_cancelled_statement_leaves_the_session_usable(cassandra: Cassandra) -> None:
    select = "SELECT user_id FROM accounts_1 WHERE user_id = ?"
    await cassandra.execute(select, (1,))
    for _ in range(20):
        asked = asyncio.create_task(cassandra.execute(select, (1,)))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert await cassandra.execute(select, (1,)) == []


async def test_missing_keyspace(cassandra_settings: Settings) -> None:
    with pytest.raises(KeyspaceMissing, match="shutterlog provision"):
        await Cassandra.connect(cassandra_settings)


async def test_keyspace_that_is_no_name(cassandra_settings: Settings) -> None:
    with pytest.raises(ValueError, match="cannot name a keyspace"):
        await Cassandra.connect(cassandra_settings.model_copy(update={"cassandra_keyspace": "a; DROP"}))


async def test_nothing_there(line: Line, cassandra_settings: Settings) -> None:
    await line.cut()
    with pytest.raises(StoreAway):
        await Cassandra.connect(over(line, cassandra_settings))


async def test_cut_line_is_away_and_heals(line: Line, tables_settings: Settings) -> None:
    select = "SELECT user_id FROM accounts_1 WHERE user_id = ?"
    async with await Cassandra.connect(over(line, tables_settings), request_seconds=5) as cassandra:
        await cassandra.execute(select, (1,))
        await line.cut()
        with pytest.raises(StoreAway):
            await cassandra.execute(select, (1,))
        with pytest.raises(StoreAway):
            await cassandra.apply_batch([("INSERT INTO accounts_1 (user_id) VALUES (?)", (1,))])
        await line.open()
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await cassandra.execute(select, (1,)) == []
                    break
                except StoreAway:
                    await asyncio.sleep(0.05)


async def test_silent_line_is_away_within_the_bound(line: Line, tables_settings: Settings) -> None:
    select = "SELECT user_id FROM accounts_1 WHERE user_id = ?"
    async with await Cassandra.connect(over(line, tables_settings), request_seconds=0.3) as cassandra:
        await cassandra.execute(select, (1,))
        line.silence()
        async with asyncio.timeout(5):
            with pytest.raises(StoreAway):
                await cassandra.execute(select, (1,))
        await line.cut()  # else closing would wait for the silent line


async def test_closing_twice_leaves_no_thread(tables_settings: Settings) -> None:
    before = set(threading.enumerate())
    cassandra = await Cassandra.connect(tables_settings)
    await cassandra.execute("SELECT user_id FROM accounts_1 WHERE user_id = ?", (1,))
    await cassandra.close()
    await cassandra.close()
    # The driver keeps one daemon thread for all its sessions, for good.
    left = {thread.name for thread in threading.enumerate() if thread not in before} - {"event_loop"}
    assert left == set()
