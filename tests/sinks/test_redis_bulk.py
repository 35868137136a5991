"""Packed commands: sent as they were made, and refused without leaving replies behind."""

from __future__ import annotations

import numpy as np
import pytest
from redis.exceptions import ResponseError

from schemas.ids import MAX_ID, MIN_ID
from sinks import redis_bulk
from sinks.errors import StoreAway
from sinks.redis import Redis, connect
from sinks.redis_bulk import Commands, Words, send, word
from sinks.settings import Settings

PEOPLE = [MIN_ID + n for n in range(8)]


async def test_a_refused_command_is_raised_and_leaves_no_reply_behind(redis: Redis) -> None:
    await redis.set("text", "x")
    made = Commands()
    names = Words(np.array(PEOPLE, np.int64)).picked(np.arange(len(PEOPLE)))
    for key in (b"set", b"text", b"other"):
        made.add(b"SADD", key, names, 0, len(PEOPLE))
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await send(redis, iter([made.take()]), lambda weight: None)
    assert await redis.ping()
    assert await redis.scard("set") == len(PEOPLE)


async def test_a_redis_that_does_not_answer_is_away(settings: Settings) -> None:
    made = Commands()
    made.add_packed(b"BLPOP", b"nothing", 1, word(b"0"))
    async with connect(settings.redis_url, seconds=0.5) as hurried:
        with pytest.raises(StoreAway, match="no answer to 1 commands"):
            await send(hurried, iter([made.take()]), lambda weight: None)
        assert await hurried.ping()


async def test_commands_are_sent_as_they_were_made(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bulk, "MOST", 3)
    ids = [MAX_ID, *PEOPLE, MIN_ID + 10**17]
    made = Commands()
    made.add(b"RPUSH", b"list", Words(np.array(ids, np.int64)).picked(np.arange(len(ids))), 1, len(ids))
    made.add_packed(b"HSET", b"hash", 2, word(b"field") + word(b""))
    made.weigh(5)
    weights: list[int] = []
    await send(redis, iter([made.take(), made.take()]), weights.append)
    assert [int(i) for i in await redis.lrange("list", 0, -1)] == ids[1:]
    assert await redis.hgetall("hash") == {b"field": b""}
    assert sum(weights) == 5


def test_only_snowflakes_become_words() -> None:
    for wrong in (MIN_ID - 1, -MIN_ID, 0):
        with pytest.raises(ValueError, match="19 digits"):
            Words(np.array([MIN_ID, wrong], np.int64))
