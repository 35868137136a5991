"""Kafka's clients keep to what they once heard, or wait for ever: ours go on with a new one."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

import sinks.notices
import sinks.topics
from sinks.errors import StoreAway
from sinks.notices import NoticeSink
from sinks.settings import Settings
from sinks.topics import Topics
from streams.notices import Notice
from streams.records import Span, TopicPartition
from streams.views import Mark

SOURCE = TopicPartition("engagement", 0)


class Broker:
    """Refuses each client that was made before it was started last."""

    epoch = 0


def admin(*_: Any, **__: Any) -> Any:
    """A client of that broker: knows the epoch of when it was made."""
    known = Broker.epoch

    def list_offsets(asked: Any, request_timeout: float) -> dict[Any, Future[Any]]:
        answers: dict[Any, Future[Any]] = {}
        for tp in asked:
            answers[tp] = Future()
            if known == Broker.epoch:
                answers[tp].set_result(SimpleNamespace(offset=7))
            else:
                answers[tp].set_exception(KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH)))
        return answers

    return SimpleNamespace(list_topics=lambda timeout: None, list_offsets=list_offsets)


def test_the_ends_are_known_again_after_a_restart_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks.topics, "AdminClient", admin)
    topics = Topics(Settings(partitions=2))
    assert set(topics.ends().values()) == {6}
    Broker.epoch += 1
    assert set(topics.ends().values()) == {6}


def test_a_broker_that_is_away_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks.topics, "AdminClient", admin)
    monkeypatch.setattr(sinks.topics, "_AT_ONCE_SECONDS", -1.0)
    topics = Topics(Settings(partitions=2))
    topics.ends()
    Broker.epoch += 1
    with pytest.raises(StoreAway):
        topics.ends()
    assert set(topics.ends().values()) == {6}, "but the next call begins anew"


class Commits:
    """A group in which nothing was committed."""

    taken = 0

    async def membership(self, partitions: Any) -> object:
        return object()

    async def committed(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, -1)

    async def took(self, offsets: Any) -> None:
        self.taken += 1


async def test_a_transaction_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    released = threading.Event()

    class Hanging:
        """Its first life never answers, whatever timeout it is given."""

        def __init__(self, *_: Any, **__: Any) -> None:
            made.append(self)
            self.committed = False

        def init_transactions(self, seconds: float) -> None: ...

        def begin_transaction(self) -> None: ...

        def produce(self, *_: Any, **__: Any) -> None: ...

        def flush(self, seconds: float) -> int:
            return 0

        def abort_transaction(self, seconds: float) -> None: ...

        def send_offsets_to_transaction(self, *_: Any) -> None:
            if self is made[0]:
                released.wait()
                raise KafkaException(KafkaError(KafkaError._FENCED))

        def commit_transaction(self, seconds: float) -> None:
            self.committed = True

    monkeypatch.setattr(sinks.notices, "Producer", Hanging)
    monkeypatch.setattr(sinks.notices, "OVERDUE_SECONDS", 0.1)
    commits: Any = Commits()
    sink = NoticeSink(Settings(), "a", commits)
    monkeypatch.setattr(sinks.notices, "encode", lambda event: b"")
    notices = [Notice(Mark(SOURCE, 3), SimpleNamespace(TOPIC="notifications", key=b"1"))]  # type: ignore[arg-type]
    try:
        with pytest.raises(StoreAway, match="neither took nor refused"):
            await sink.apply(notices, {SOURCE: Span(-1, 3)})
        monkeypatch.setattr(sinks.notices, "OVERDUE_SECONDS", 10.0)
        await sink.apply(notices, {SOURCE: Span(-1, 3)})
        assert [one.committed for one in made] == [False, True] and commits.taken == 1
    finally:
        released.set()  # what it then says is heard by nobody
    await sink.apply(notices, {SOURCE: Span(-1, 3)})
    assert len(made) == 2, "nor does it take the new producer away"
