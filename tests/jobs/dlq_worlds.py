"""A log with poison of both kinds and its DLQ, without agents; and the command line over it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as KafkaPartition
from typer.testing import CliRunner, Result

from jobs.cli import app
from schemas.codec import encode
from schemas.events import Event, Followed
from schemas.ids import snowflake
from sinks.dead_letters import DeadLetters
from sinks.producer import Outgoing, Producer
from sinks.settings import Settings
from streams.records import TopicPartition

AT = 1_700_000_000_000
ADA, BOB = snowflake(AT, 1, 1), snowflake(AT, 1, 2)


def followed(follower: int = ADA, followee: int = BOB) -> Followed:
    """Somebody follows somebody."""
    return Followed(event_id=snowflake(AT, 2, 0), at=AT, actor_id=follower, follower_id=follower, followee_id=followee)


class Dead(NamedTuple):
    """A record of the log, as agents bury it."""

    tp: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None

    def __str__(self) -> str:
        return f"{self.tp}@{self.offset}"


class DlqWorld:
    """One world's topics, of which ``settings`` name the prefix."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        for name, value in settings.model_dump().items():
            if value is not None:
                monkeypatch.setenv(name.upper(), str(value))

    def bury(
        self, topic: str, key: bytes | None, value: bytes | None, error: str, view: str | None = None, times: int = 1
    ) -> Dead:
        """Say a record, and that somebody could not take it."""

        async def buried() -> Dead:
            async with Producer(self.settings) as producer:
                ((tp, offset),) = await producer.write([Outgoing(topic, key, value)])
                dead = Dead(tp, offset, key, value)
                for _ in range(times):
                    await DeadLetters(producer).put(dead, error, "Traceback\n  a bug" if view else "", view)
            return dead

        return asyncio.run(buried())

    def bury_event(self, event: Event, error: str, view: str | None = None, topic: str = "") -> Dead:
        """The same of an event, which may stand in a topic that is not its own."""
        return self.bury(topic or event.TOPIC, event.key, encode(event), error, view)

    def run(self, *words: Any, given: str | None = None) -> Result:
        """``shutterlog dlq WORDS``."""
        return CliRunner().invoke(app, ["dlq", *map(str, words)], input=given, catch_exceptions=False)

    def listed(self, *words: Any) -> list[dict[str, Any]]:
        """What ``dlq list --json`` says."""
        return objects(self.run("list", *words, "--json"))

    def names(self, *words: Any) -> list[str]:
        """The letters that ``dlq list`` names."""
        return [f"{one['topic']}-{one['partition']}@{one['offset']}" for one in self.listed(*words)]

    def log(self, *topics: str) -> list[Message]:
        """What readers of ``topics`` see."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap,
                "group.id": self.settings.topic("test"),
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        partitions = [
            KafkaPartition(self.settings.topic(topic), n, 0)
            for topic in topics
            for n in range(self.settings.partitions)
        ]
        consumer.assign(partitions)
        found: list[Message] = []
        ends = 0
        while ends < len(partitions):
            message = consumer.poll(20)
            assert message is not None, "the end never came"
            if message.error() is None:
                found.append(message)
            else:
                ends += 1
        consumer.close()
        return found


def objects(result: Result) -> list[dict[str, Any]]:
    """The JSON lines that a command printed."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def json_lines(said: Sequence[dict[str, Any]]) -> str:
    """The other way round."""
    return "".join(json.dumps(one) + "\n" for one in said)
