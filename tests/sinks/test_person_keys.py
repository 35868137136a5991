"""Keys are made once, kept, and remembered within bounds; on a real Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sinks.cassandra import Cassandra
from sinks.person_keys import PersonKeys
from sinks.sealing import KEY_BYTES
from sinks.settings import Settings
from sinks.view_tables import apply_ddl

USER = 10**18


@pytest.fixture
async def cassandra(settings: Settings) -> AsyncIterator[Cassandra]:
    """A keyspace of this test's own, with its tables."""
    async with await Cassandra.connect(settings, create_keyspace=True) as cassandra:
        await apply_ddl(cassandra)
        yield cassandra
        await cassandra.change_schema(f"DROP KEYSPACE {cassandra.keyspace}")


async def test_person_keys(cassandra: Cassandra) -> None:
    # One test, since a keyspace takes seconds to make.
    await _one_wins(cassandra)
    await _many(cassandra)
    await _bounded(cassandra)


async def _one_wins(cassandra: Cassandra) -> None:
    made = await asyncio.gather(*(PersonKeys(cassandra).create(USER) for _ in range(8)))
    assert len(set(made)) == 1 and len(made[0]) == KEY_BYTES
    assert await PersonKeys(cassandra).get_many([USER, USER + 1]) == {USER: made[0]}
    await PersonKeys(cassandra).create_many({USER: b"x" * KEY_BYTES})
    assert await PersonKeys(cassandra).get_many([USER]) == {USER: made[0]}


async def _many(cassandra: Cassandra) -> None:
    keys = {USER + 10 + n: n.to_bytes(2, "big") * 16 for n in range(1200)}
    await PersonKeys(cassandra).create_many(keys)
    await PersonKeys(cassandra).create_many(keys)
    assert await PersonKeys(cassandra).get_many([*keys, USER + 5]) == keys
    assert await PersonKeys(cassandra).get_many([]) == {}
    with pytest.raises(ValueError, match="32 bytes"):
        await PersonKeys(cassandra).create_many({USER + 9999: b"short"})
    assert await PersonKeys(cassandra).create(USER + 10) == keys[USER + 10]


async def _bounded(cassandra: Cassandra) -> None:
    person_keys = PersonKeys(cassandra, remembered=2)
    ids = [USER + 10, USER + 11, USER + 12]
    for user_id in ids:
        await person_keys.get_many([user_id])
    assert await person_keys.stands(ids[2])
    await cassandra.execute("DELETE FROM person_keys WHERE user_id IN ?", (ids,))
    assert not await person_keys.stands(ids[2]), "asked of Cassandra, though it is remembered"
    assert (await person_keys.get_many(ids)).keys() == set(ids[1:])
    person_keys.forget(ids[1])
    assert (await person_keys.get_many(ids)).keys() == {ids[2]}
