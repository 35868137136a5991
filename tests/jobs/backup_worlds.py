"""A small world in a log that has everything a backup has to bring back: gaps, poison, odd headers, keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer as KafkaProducer

from jobs.backup_log import LogSource
from jobs.backup_segments import Kept
from jobs.provision import provision
from schemas.codec import encode
from sinks.cassandra import Cassandra
from sinks.kept_tables import KEPT, restore_kept
from sinks.person_keys import PersonKeys
from sinks.producer import Producer
from sinks.settings import Settings
from streams.records import TopicPartition
from streams.saga import SAGA
from tests.jobs.test_verify import PEOPLE, commit, history

ROWS: dict[str, list[dict[str, Any]]] = {
    "person_keys": [{"user_id": user, "sealing_key": bytes([n]) * 32} for n, user in enumerate(PEOPLE)],
    "usernames": [{"username": "ada", "user_id": PEOPLE[0], "reserved_at": 5, "confirmed": True, "replaced_at": None}],
    "username_skeletons": [{"skeleton": "ada", "username": "ada", "user_id": PEOPLE[0], "reserved_at": 5}],
    "credentials": [
        {
            "user_id": PEOPLE[0],
            "password_hash": "argon",
            "profile_token": None,
            "deactivated": True,
            "email": b"sealed",
        }
    ],
    "email_owners": [{"lookup": b"hash", "user_id": PEOPLE[0]}],
    "uploads": [{"media_id": PEOPLE[1] + 1, "owner_id": PEOPLE[1]}],
}
P0, P1 = TopicPartition("posts", 0), TopicPartition("posts", 1)


def small(settings: Settings, **others: Any) -> Settings:
    """Few partitions and buckets."""
    return settings.model_copy(update={"partitions": 2, "buckets": 3, **others})


async def live(settings: Settings) -> None:
    """Provision, and let everything happen."""
    await asyncio.to_thread(provision, settings)
    async with Producer(settings) as producer:
        await producer.produce_many(history())
    await asyncio.to_thread(odd_records, settings)
    async with await Cassandra.connect(settings) as cassandra:
        for table, rows in ROWS.items():
            await restore_kept(cassandra, table, rows)


def odd_records(settings: Settings) -> None:
    """Transactions that were committed and aborted, poison, nulls beside emptiness, headers of every kind."""
    good = encode(history()[-3])
    transactional = KafkaProducer(
        {"bootstrap.servers": settings.kafka_bootstrap, "transactional.id": settings.topic("test")}
    )
    transactional.init_transactions(30)
    topic = settings.topic("posts")
    for is_committed, records in ((True, 1), (True, 2), (False, 3), (False, 1), (True, 1)):
        transactional.begin_transaction()
        for n in range(records):
            for partition in (0, 1):
                transactional.produce(topic, good, b"%d" % n, partition)
        transactional.flush()
        if is_committed:
            transactional.commit_transaction(30)
        else:
            transactional.abort_transaction(30)
    plain = KafkaProducer({"bootstrap.servers": settings.kafka_bootstrap})
    headers: Any = [("repairs", b"posts-0@3"), ("same", b"1"), ("same", b""), ("none", None)]
    plain.produce(topic, b"no event", b"somebody", 0, headers=headers)
    plain.produce(topic, None, None, 0)
    plain.produce(topic, b"", b"", 0)
    plain.produce(settings.topic("posts.dlq"), b"\x00dead", b"7", 1, headers=[("topic", b"posts"), ("offset", b"3")])
    assert plain.flush(30) == 0


def commit_all(settings: Settings) -> dict[TopicPartition, int]:
    """All emitters have said all there is to say; the commits."""
    all_ends = {tp: end - 1 for tp, end in ends_of(settings).items() if end}
    ends = {tp: end for tp, end in all_ends.items() if tp.topic in ("posts", "media", "stories")}
    commit(settings, "media", {tp: end for tp, end in ends.items() if tp.topic == "media"})
    commit(settings, "publisher", ends)
    commit(settings, "saga", {tp: end for tp, end in all_ends.items() if tp.topic in SAGA.sources})
    commit(settings, "erasure", {tp: end for tp, end in all_ends.items() if tp.topic in ("accounts", "media")})
    return ends


def ends_of(settings: Settings) -> dict[TopicPartition, int]:
    """The offset after the last of each partition."""
    source = LogSource(settings)
    try:
        return source.ends()
    finally:
        source.close()


def raw_log(settings: Settings, topics: Sequence[str] = ()) -> dict[TopicPartition, list[Kept]]:
    """Every record as readers see it, with its offset and its timestamp."""
    source = LogSource(settings)
    try:
        return {
            tp: list(source.read(tp, source.starts([tp.topic])[tp], end))
            for tp, end in source.ends().items()
            if not topics or tp.topic in topics
        }
    finally:
        source.close()


async def kept_rows(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The rows of all kept tables, in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with await Cassandra.connect(settings) as cassandra:
        for table, columns in KEPT.items():
            rows = await cassandra.execute(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608
            found[table] = sorted((dict(zip(columns, row, strict=True)) for row in rows), key=repr)
        assert await PersonKeys(cassandra).get_many(PEOPLE)
    return found


async def drop(*worlds: Settings) -> None:
    """Their keyspaces."""
    for settings in worlds:
        async with await Cassandra.connect(settings, create_keyspace=True) as cassandra:
            await cassandra.change_schema(f"DROP KEYSPACE {settings.cassandra_keyspace}")
