"""The producer on a real broker, and without one."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as KafkaProducer

from schemas.codec import decode
from schemas.events import Event, Followed, PostSubmitted, Unfollowed
from schemas.ids import MIN_ID
from sinks import producer as module
from sinks.dead_letters import DeadLetters
from sinks.errors import StoreAway
from sinks.partitioning import murmur2, partition_of
from sinks.producer import EVENT_LIMIT, Outgoing, Producer, TooLarge, TopicMissing, failure
from sinks.settings import Settings
from streams.records import TopicPartition
from tests.sinks.test_dead_letters import Poison
from tests.sinks.topic_worlds import provisioned, records_of


def followed(number: int, of: int = 0) -> Followed:
    """One of many events."""
    return Followed(event_id=MIN_ID + number, at=1, actor_id=MIN_ID, follower_id=MIN_ID, followee_id=MIN_ID + of)


@pytest.fixture
def world(settings: Settings) -> Iterator[Settings]:
    """Settings with topics of this test's own."""
    settings = settings.model_copy(update={"partitions": 4})
    with provisioned(settings):
        yield settings


@pytest.fixture
def nowhere() -> Iterator[Settings]:
    """Settings of a Kafka that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Settings(kafka_bootstrap=f"127.0.0.1:{server.getsockname()[1]}")


# -- partitions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [  # from the tests of Kafka's own Java client
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(text: bytes, expected: int) -> None:
    assert murmur2(text) == expected % 2**32


async def test_partitions_are_those_the_broker_gets(world: Settings) -> None:
    events = [followed(n, of=n) for n in range(200)]
    async with Producer(world) as producer:
        written = await producer.produce_many(events)
    assert [tp.partition for tp, _ in written] == [partition_of(event.key, 4) for event in events]
    assert {tp.partition for tp, _ in written} == {0, 1, 2, 3}


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_an_answer_says_where_the_record_stands(world: Settings) -> None:
    async with Producer(world) as producer:
        for n in range(3):
            tp, offset = await producer.produce(followed(n))
            assert (tp, offset) == (TopicPartition("graph", partition_of(followed(0).key, 4)), n)
            # It is there by then, and not merely on its way.
            assert len(records_of(world, "graph", n + 1)) == n + 1
        assert await producer.produce_many([]) == []
    stored = records_of(world, "graph", 3)
    assert [decode(message.value()) for message in stored] == [followed(n) for n in range(3)]
    assert {message.key() for message in stored} == {followed(0).key}


async def test_many_are_written_in_order_beyond_the_queue(world: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED_RECORDS", 100)
    events = [followed(n, of=n % 7) for n in range(5000)]
    async with Producer(world) as producer:
        halves = await asyncio.gather(producer.produce_many(events[:2500]), producer.produce_many(events[2500:]))
    stored = {
        (message.partition(), message.offset()): decode(message.value()) for message in records_of(world, "graph", 5000)
    }
    # Every answer is right, and none is given twice.
    assert {
        (tp.partition, offset): event for event, (tp, offset) in zip(events, halves[0] + halves[1], strict=True)
    } == stored
    for half in (events[:2500], events[2500:]):
        mine = {event.event_id for event in half}
        for key in {event.key for event in half}:
            in_log = [event for _, event in sorted(stored.items()) if event.key == key and event.event_id in mine]
            assert in_log == [event for event in half if event.key == key]


async def test_closing_waits_for_what_is_under_way(world: Settings) -> None:
    async with Producer(world, linger_ms=200) as producer:
        call = asyncio.create_task(producer.produce(followed(1)))
        await asyncio.sleep(0)
    assert (await call)[1] == 0
    with pytest.raises(RuntimeError, match="not open"):
        await producer.produce(followed(2))


async def test_a_cancelled_call_harms_no_other(world: Settings) -> None:
    async with Producer(world, linger_ms=50) as producer:
        call = asyncio.create_task(producer.produce(followed(1)))
        await asyncio.sleep(0)
        call.cancel()
        assert (await producer.produce(followed(2)))[1] == 1


async def test_dead_letters_arrive_as_they_were(world: Settings) -> None:
    tp = TopicPartition("graph", 1)
    async with Producer(world) as producer:
        await DeadLetters(producer).put(Poison(tp, 5, b"k", b"\xff" * 1_200_000), "bad", "", "follows")
    (message,) = records_of(world, "graph.dlq", 1)
    assert (message.key(), len(message.value() or b"")) == (b"k", 1_200_000)
    headers = dict(message.headers() or [])
    assert (headers["topic"], headers["offset"], headers["view"]) == (b"graph", b"5", b"follows")


# -- refusals ---------------------------------------------------------------------------------------------------------


async def test_what_is_too_large_is_refused_and_takes_nothing_with_it(world: Settings) -> None:
    post = {"event_id": MIN_ID, "at": 1, "actor_id": MIN_ID, "post_id": MIN_ID, "author_id": MIN_ID, "media_ids": []}
    large, largest = (
        PostSubmitted(**post, caption=b"x" * size)  # type: ignore[arg-type]
        for size in (EVENT_LIMIT, EVENT_LIMIT - 200)
    )
    async with Producer(world) as producer:
        with pytest.raises(TooLarge):
            await producer.produce_many([largest, large])
        with pytest.raises(TooLarge):
            await producer.write([Outgoing("posts", b"k", b"x" * 3_000_000)])
        assert (await producer.produce(largest))[1] == 0


async def test_events_out_of_range_are_refused(world: Settings) -> None:
    wrong: list[Event] = [followed(1), Unfollowed(event_id=1, at=1, actor_id=1, follower_id=1, followee_id=1)]
    async with Producer(world) as producer:
        with pytest.raises(ValueError, match="out of range"):
            await producer.produce_many(wrong)
        assert (await producer.produce(followed(1)))[1] == 0


async def test_a_topic_that_is_missing_is_said(settings: Settings) -> None:
    # Topics are never made by writing to them: they would have any number of partitions.
    async with Producer(settings, timeout_seconds=4) as producer:
        with pytest.raises(TopicMissing, match="provision"):
            await producer.produce(followed(1))


@pytest.mark.parametrize("away", ["silent", "closed"])
async def test_kafka_away_is_said_within_the_bound(nowhere: Settings, away: str) -> None:
    settings = nowhere if away == "silent" else Settings(kafka_bootstrap="127.0.0.1:9")
    async with Producer(settings, timeout_seconds=2) as producer:
        began = time.monotonic()
        with pytest.raises(StoreAway):
            await producer.produce(followed(1))
        assert time.monotonic() - began < 4


async def test_calls_that_wait_for_room_also_end(nowhere: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED_RECORDS", 10)
    async with Producer(nowhere, timeout_seconds=1) as producer:
        began = time.monotonic()
        with pytest.raises(StoreAway):
            await producer.produce_many([followed(n) for n in range(100)])
        # Not one timeout after the other for as many as the queue holds at a time.
        assert time.monotonic() - began < 5


async def test_a_fatal_error_ends_that_producer_and_not_this_one(world: Settings, nowhere: Settings) -> None:
    async with Producer(nowhere, timeout_seconds=30) as producer:
        call = asyncio.create_task(producer.produce(followed(1)))
        await asyncio.sleep(0)
        producer._config["bootstrap.servers"] = world.kafka_bootstrap
        producer._settings = world
        fatal = producer._kafka
        producer.replace(fatal)
        producer.replace(fatal)  # the second call that met the error
        with pytest.raises(StoreAway):
            await asyncio.wait_for(call, 5)
        assert (await producer.produce(followed(2)))[1] == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._MSG_TIMED_OUT, StoreAway),
        (KafkaError._FATAL, StoreAway),
        (KafkaError.NOT_ENOUGH_REPLICAS, StoreAway),
        (KafkaError.MSG_SIZE_TOO_LARGE, TooLarge),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaException),
    ],
)
def test_each_error_has_its_answer(code: int, expected: type[Exception]) -> None:
    assert type(failure(KafkaError(code))) is expected


def test_kafka_is_asked_for_safety() -> None:
    config = Producer(Settings())._config
    assert config["enable.idempotence"] is True and config["acks"] == "all"
    KafkaProducer(config | {"bootstrap.servers": "127.0.0.1:9"})  # every option is one that librdkafka knows
