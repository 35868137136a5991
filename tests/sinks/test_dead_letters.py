"""Dead letters keep what was poison, and say all that is known of it; without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from sinks.dead_letters import KEY_LIMIT, TEXT_LIMIT, VALUE_LIMIT, DeadLetters
from sinks.errors import StoreAway
from sinks.producer import RECORD_LIMIT, Outgoing, Written
from streams.records import TopicPartition


class Poison(NamedTuple):
    """A raw record."""

    tp: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None


class Box:
    """A log in memory that can be away."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.records: list[Outgoing] = []

    async def write(self, records: Sequence[Outgoing]) -> list[Written]:
        """Keep ``records``."""
        if self.away:
            raise StoreAway("Kafka: away")
        self.records += records
        return [(TopicPartition(record.topic, 0), 0) for record in records]


POSTS = TopicPartition("posts", 3)


async def test_a_dead_letter_is_the_record_and_what_is_known_of_it() -> None:
    box = Box()
    await DeadLetters(box, lambda: 1234).put(Poison(POSTS, 77, b"k", b"\xff"), "bad ⚠", "Traceback …", "posts")
    (letter,) = box.records
    assert (letter.topic, letter.key, letter.value) == ("posts.dlq", b"k", b"\xff")
    assert letter.headers == {
        "topic": b"posts",
        "partition": b"3",
        "offset": b"77",
        "error": "bad ⚠".encode(),
        "stack": "Traceback …".encode(),
        "first_seen": b"1234",
        "last_seen": b"1234",
        "tries": b"1",
        "view": b"posts",
    }


async def test_a_refusal_says_which_generation_it_taints() -> None:
    box = Box()
    letters = DeadLetters(box).of(3)
    await letters.put(Poison(POSTS, 0, b"k", b""), "refused", "", "posts")
    await letters.put(Poison(POSTS, 1, b"k", b""), "bad", "", None)
    assert [(record.headers or {}).get("generation") for record in box.records] == [b"3", None]


@pytest.mark.parametrize(("key", "value"), [(None, None), (None, b""), (b"", None)])
async def test_missing_keys_and_values_stay_missing(key: bytes | None, value: bytes | None) -> None:
    box = Box()
    await DeadLetters(box).put(Poison(POSTS, 0, key, value), "no value", "", None)
    assert (box.records[0].key, box.records[0].value) == (key, value)
    assert box.records[0].headers is not None and box.records[0].headers["view"] == b""


async def test_no_record_is_too_large_to_be_buried() -> None:
    box = Box()
    huge = Poison(POSTS, 0, b"k" * (KEY_LIMIT + 1), b"v" * (10 * VALUE_LIMIT))
    await DeadLetters(box).put(huge, "e" * 10**6, "s" * 10**6 + "the end \ud800", "posts")
    (letter,) = box.records
    headers = letter.headers or {}
    assert headers["value_bytes"] == str(10 * VALUE_LIMIT).encode()
    assert headers["key_bytes"] == str(KEY_LIMIT + 1).encode()
    assert len(headers["error"]) <= TEXT_LIMIT and headers["stack"].endswith(b"the end ?")
    size = len(letter.key or b"") + len(letter.value or b"") + sum(len(n) + len(v) for n, v in headers.items())
    assert size < RECORD_LIMIT - 10_000


async def test_a_dlq_that_is_away_is_said() -> None:
    with pytest.raises(StoreAway):
        await DeadLetters(Box(away=True)).put(Poison(POSTS, 0, b"k", b""), "bad", "", None)
