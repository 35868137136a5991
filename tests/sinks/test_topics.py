"""Topics on a real broker."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from schemas.events import TOPICS, Followed
from schemas.ids import MIN_ID
from sinks.errors import StoreAway
from sinks.generations import TOPIC as GENERATIONS
from sinks.producer import Producer, TopicMissing
from sinks.settings import Settings
from sinks.topics import Topics, TopicsUnfit
from streams.records import TopicPartition
from tests.sinks.topic_worlds import make_topic, provisioned, records_of, remove_topics


def configuration(settings: Settings, topic: str) -> dict[str, Any]:
    """What the broker holds for ``topic``."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, settings.topic(topic))]).values()
    return {name: entry.value for name, entry in future.result().items()}


def test_provisioning_makes_what_is_missing_once(settings: Settings) -> None:
    topics = Topics(settings)
    names = [*TOPICS, *(f"{topic}.dlq" for topic in TOPICS), GENERATIONS]
    assert topics.provision(dry_run=True) == names
    with pytest.raises(TopicMissing, match="shutterlog provision"):
        topics.ids()
    try:
        assert topics.provision() == names
        ids = topics.ids()
        assert ids.keys() == set(names) and len(set(ids.values())) == len(names)
        assert all(ids.values())
        assert topics.provision() == [] == topics.provision(dry_run=True)
        assert Topics(settings).ids() == ids
        empty = {TopicPartition(topic, n): -1 for topic in TOPICS for n in range(16)}
        assert topics.ends() == empty
        assert topics.starts() == dict.fromkeys(empty, 0)
        posts = configuration(settings, "posts")
        assert posts["retention.ms"] == posts["retention.bytes"] == "-1"
        assert posts["cleanup.policy"] == "delete"
        assert posts["message.timestamp.type"] == "LogAppendTime"
    finally:
        remove_topics(settings)


def test_another_number_of_partitions_is_refused_before_any_change(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 3})
    with provisioned(settings.model_copy(update={"partitions": 2})):
        with pytest.raises(TopicsUnfit, match="fixed for life"):
            Topics(settings).provision()
        with pytest.raises(TopicsUnfit):
            Topics(settings).provision(dry_run=True)
    make_topic(settings, "posts", 2)
    try:
        with pytest.raises(TopicsUnfit, match="posts has 2 partitions, not 3"):
            Topics(settings).provision()
        assert "graph" in Topics(settings.model_copy(update={"partitions": 2})).provision(dry_run=True)
    finally:
        remove_topics(settings)


def test_a_topic_made_by_hand_gets_the_configuration(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    make_topic(settings, "posts", 2, **{"retention.ms": "1000", "cleanup.policy": "compact"})
    try:
        assert "posts" not in Topics(settings).provision()
        # The broker confirms a change once it is in the metadata log, and describes what it has taken from there.
        deadline = time.monotonic() + 30
        while (posts := configuration(settings, "posts"))["cleanup.policy"] != "delete":
            assert time.monotonic() < deadline, posts
        assert posts["retention.ms"] == "-1"
    finally:
        remove_topics(settings)


async def test_ends_are_last_offsets_and_ids_change_when_a_topic_is_remade(settings: Settings) -> None:
    settings = settings.model_copy(update={"partitions": 2})
    event = Followed(event_id=MIN_ID, at=5, actor_id=MIN_ID, follower_id=MIN_ID, followee_id=MIN_ID + 1)
    with provisioned(settings) as topics:
        async with Producer(settings) as producer:
            written = [await producer.produce(event) for _ in range(3)]
        tp = written[0][0]
        assert topics.ends()[tp] == written[-1][1] == 2
        assert sum(end + 1 for end in topics.ends().values()) == 3
        stamped = records_of(settings, "graph", 3)[0].timestamp()
        assert stamped[0] == 2 and stamped[1] > 1_600_000_000_000  # the broker's time, and not the event's
        before = topics.ids()
    with provisioned(settings) as topics:
        assert not set(before.values()) & set(topics.ids().values())


def test_kafka_away_is_said() -> None:
    topics = Topics(Settings(kafka_bootstrap="127.0.0.1:9", topic_prefix="t."), timeout_seconds=1)
    for ask in (topics.ids, topics.ends, topics.starts, topics.provision):
        with pytest.raises(StoreAway):
            ask()
