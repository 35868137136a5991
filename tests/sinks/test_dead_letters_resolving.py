"""Letters are resolved together with what repairs them, once, whatever ends in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import pytest
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as KafkaPartition

from sinks.dead_letters import DeadLetters
from sinks.dead_letters_fold import DeadLetterBook, Letter, LetterId, Resolution, Resolved
from sinks.dead_letters_reader import DeadLetterLog
from sinks.dead_letters_resolving import ANY, Outgoing, Overtaken, Repair, Resolver, deletable, resolving
from sinks.errors import StoreAway
from sinks.generations import Generations
from sinks.partitioning import partition_of
from sinks.producer import EVENT_LIMIT, Producer, TooLarge
from sinks.settings import Settings
from streams.records import TopicPartition
from tests.sinks.test_dead_letters_reader import Poison
from tests.sinks.topic_worlds import provisioned

GRAPH = TopicPartition("graph", 0)
KEY = b"124"
"""Its partition is GRAPH, so that letters and what resolves them stand in one partition of the DLQ."""


class World:
    """Four letters in the DLQ of one topic: offsets 0 to 3, the last one refused by a view."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def book(self, **generations: Generations) -> DeadLetterBook:
        return DeadLetterLog(self.settings).read(generations)

    def letter(self, offset: int, view: str = "") -> Letter:
        return self.book().letters[LetterId(GRAPH, offset, view)]

    def resolutions(self) -> list[Resolution | None]:
        return [letter.resolution for letter in self.book().letters.values()]

    def repair(self, offset: int) -> Repair:
        return Repair(self.letter(offset), KEY, b"event %d" % offset)

    def events(self) -> list[Message]:
        """What readers of the topic see."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap,
                "group.id": self.settings.topic("test"),
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        partitions = [KafkaPartition(self.settings.topic("graph"), n, 0) for n in range(self.settings.partitions)]
        consumer.assign(partitions)
        found: list[Message] = []
        ends = 0
        while ends < len(partitions):
            message = consumer.poll(20)
            assert message is not None, "the end never came"
            if message.error() is not None:
                ends += 1
            else:
                found.append(message)
        consumer.close()
        return found

    async def bury(self, offset: int, view: str | None = None) -> None:
        async with Producer(self.settings) as producer:
            await DeadLetters(producer).put(Poison(GRAPH, offset, KEY, b"bad"), "bad", "", view)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    settings = settings.model_copy(update={"partitions": 2})
    with provisioned(settings):
        made = World(settings)
        for offset in range(3):
            await made.bury(offset)
        await made.bury(3, "follows")
        yield made


def test_the_repaired_event_and_its_resolution_come_together(world: World) -> None:
    with Resolver(world.settings, lambda: 77) as resolver:
        written = resolver.redrive([world.repair(0), world.repair(2)])
    assert partition_of(KEY, 2) == GRAPH.partition
    assert written == [(GRAPH, 0), (GRAPH, 1)]
    events = world.events()
    assert [(event.key(), event.value(), event.offset()) for event in events] == [
        (KEY, b"event 0", 0),
        (KEY, b"event 2", 1),
    ]
    assert [cast(list[tuple[str, bytes]], event.headers()) for event in events] == [
        [("repairs", b"graph-0@0")],
        [("repairs", b"graph-0@2")],
    ]
    assert world.resolutions() == [
        Resolution("redriven", 77, "graph-0@0"),
        None,
        Resolution("redriven", 77, "graph-0@1"),
        None,
    ]


def test_a_crash_in_the_middle_leaves_neither(world: World) -> None:
    repairs = [world.repair(0)]
    first = Resolver(world.settings).__enter__()
    transaction = first._transaction()
    transaction.__enter__()
    # Acknowledged by the broker, and never committed: here it crashes.
    first._write([Outgoing("graph", ANY, KEY, b"event 0", {})])
    first._write([resolving(Resolved(repairs[0].letter.id, Resolution("redriven", 1, "graph-0@0")))])
    with Resolver(world.settings) as second:
        # What the crash left open is ended: no reader waits for it.
        assert world.events() == []
        assert world.resolutions() == [None] * 4
        second.redrive(repairs)
        with pytest.raises(Overtaken, match="run this one again"):
            transaction.__exit__(None, None, None)
    assert [event.value() for event in world.events()] == [b"event 0"]


def test_who_was_overtaken_writes_nothing(world: World) -> None:
    with Resolver(world.settings) as first:
        repairs = [world.repair(0)]
        with Resolver(world.settings) as second:
            with pytest.raises(Overtaken, match="run this one again"):
                first.redrive(repairs)
            assert world.events() == []
            second.redrive(repairs)
    assert len(world.events()) == 1


def test_one_event_that_is_too_large_keeps_all_back(world: World) -> None:
    with Resolver(world.settings) as resolver, pytest.raises(TooLarge, match="graph-0@1"):
        resolver.redrive([world.repair(0), world.repair(1)._replace(value=b"x" * (EVENT_LIMIT + 1))])
    assert world.events() == [] and world.resolutions() == [None] * 4


def test_a_purged_letter_has_no_repair(world: World) -> None:
    with Resolver(world.settings, lambda: 77) as resolver:
        resolver.purge([world.letter(1), world.letter(3, "follows")])
    purged = Resolution("purged", 77)
    assert world.resolutions() == [None, purged, None, purged]
    assert world.book().refusals("follows") == []


async def test_what_is_deleted_stays_resolved(world: World) -> None:
    """A rewind may bury a record once more, long after its letter was redriven and deleted."""
    with Resolver(world.settings) as resolver:
        resolver.redrive([world.repair(0)])
        resolver.purge([world.letter(1)])
        before = world.resolutions()[:2]
        prefixes = deletable(world.book())
        assert [[place.offset for place in prefix] for prefix in prefixes.values()] == [[0, 1]]
        assert resolver.delete(prefixes) == 2
        assert [name.offset for name in world.book().letters] == [2, 3]
        # All of the rest, with what resolves it, goes too, but for the words that it is resolved.
        resolver.redrive([world.repair(2)])
        resolver.purge([world.letter(3, "follows")])
        assert resolver.delete(deletable(world.book())) > 0
    assert not world.book().letters
    assert deletable(world.book()) == {}
    for offset in range(3):
        await world.bury(offset)
    assert world.resolutions()[:2] == before
    assert None not in world.resolutions()


async def test_what_a_replay_made_good_is_kept(world: World) -> None:
    """The view may go back to the generation that refused it."""
    with Resolver(world.settings) as resolver:
        resolver.purge([world.letter(offset) for offset in range(3)])
        replayed = Generations(view="follows").begun(1).flipped(2, 2**60, refused=0, built_to={"graph-0": 3})
        book = world.book(follows=replayed)
        assert book.unresolved() == []
        assert [[place.offset for place in prefix] for prefix in deletable(book).values()] == [[0, 1, 2]]


def test_a_kafka_that_is_away_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.dead_letters_resolving._ASK_SECONDS", 0.5)
    monkeypatch.setattr("sinks.dead_letters_resolving.TRANSACTION_SECONDS", 2)
    nowhere = settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    with pytest.raises(StoreAway), Resolver(nowhere):
        pass
