"""What a gateway may go on with while Cassandra is away: rows of which the log has said nothing since."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as KafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from sinks import log_since
from sinks.broker_watch import BrokerWatch
from sinks.errors import StoreAway
from sinks.log_since import Said
from streams.records import TopicPartition

TP = TopicPartition("graph", 0)
PEOPLE = [1, 22, 333]


@given(st.integers(-1, 20), st.lists(st.sampled_from(PEOPLE), max_size=30), st.integers(-1, 60))
def test_a_row_stands_where_nothing_was_said_after_its_fence(base: int, said: list[int], fence: int) -> None:
    log = Said({TP: base})
    for offset, person in enumerate(said, base + 1):
        log.take(TP, offset, b"%d" % person)
    for person in PEOPLE:
        later = [offset for offset, one in enumerate(said, base + 1) if one == person and offset > fence]
        # Of before the base nothing is known: a row from there never stands.
        assert log.nothing_since(TP, person, fence) == (fence >= base and not later)
    assert not log.nothing_since(TopicPartition("graph", 1), 1, 1000), "a partition that is not read is not known"
    assert log.reached[TP] == base + len(said)


def test_too_much_to_remember_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_since, "_MOST_KEYS", 3)
    log = Said({TP: -1})
    with pytest.raises(OverflowError):
        for offset in range(4):
            log.take(TP, offset, b"%d" % offset)


class Kafka:
    """A client whose broker is there or not."""

    def __init__(self) -> None:
        self.there, self.asked = True, 0

    def list_topics(self, timeout: float) -> None:
        self.asked += 1
        if not self.there:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def test_kafka_is_away_only_where_it_was_asked_and_did_not_answer() -> None:
    kafka, watch = Kafka(), BrokerWatch(4.0)
    client: KafkaProducer = cast(Any, kafka)
    now = time.monotonic()
    assert not watch.look(client, None) and not watch.look(client, now) and kafka.asked == 0
    # A doubt that the broker takes away: one that had nothing to do, or is slow.
    watch.hear(KafkaError(KafkaError._TRANSPORT))
    assert not watch.look(client, None) and kafka.asked == 0
    watch.hear(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not watch.look(client, None) and not watch.look(client, now - 5) and kafka.asked == 2
    watch.check()
    kafka.there = False
    assert not watch.look(client, now)
    assert watch.look(client, now - 5), "it has just gone"
    assert not watch.look(client, None), "which is said once"
    with pytest.raises(StoreAway):
        watch.check()
    kafka.there = True
    assert not watch.look(client, None), "it is asked again without anybody who waits"
    watch.check()
