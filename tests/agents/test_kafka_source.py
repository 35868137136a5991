"""The source on a real Kafka, with a sink that is a list: what it hands over, from where on, and who else may read."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Collection

import pytest
from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from agents.kafka_source import AHEAD, KafkaSource
from agents.positions import RawBatch
from schemas.codec import encode
from schemas.events import PostPublished
from sinks.errors import LogRemade, StoreAway
from sinks.settings import Settings
from streams.records import TopicPartition
from tests.agents.feed_world import SOURCES, FeedWorld
from tests.agents.workers import until

BATCH = 20


class ListSink:
    """The offsets that were applied, and the fences: of all sources of a test."""

    def __init__(self, settings: Settings) -> None:
        self.fence = {TopicPartition(t, p): -1 for t in SOURCES for p in range(settings.partitions)}
        self.applied: dict[TopicPartition, list[int]] = {tp: [] for tp in self.fence}
        self.behind = 0

    @property
    def count(self) -> int:
        """Records applied."""
        return sum(len(offsets) for offsets in self.applied.values())

    def take(self, batch: RawBatch) -> bool:
        """Apply ``batch``; False where it does not follow on what is here."""
        if any(self.fence[tp] < span.prior for tp, span in batch.spans.items()):
            self.behind += 1
            return False
        for record in batch.records:
            if record.offset > self.fence[record.tp]:
                self.applied[record.tp].append(record.offset)
        for tp, span in batch.spans.items():
            self.fence[tp] = max(self.fence[tp], span.last)
        return True


class Reader:
    """A source, and an agent that takes its batches while it is told to."""

    def __init__(self, settings: Settings, sink: ListSink, slot: str) -> None:
        self.sink = sink
        self.source = KafkaSource(settings, "test", SOURCES, slot, BATCH, 0.02)
        self.batches: list[RawBatch] = []
        self.failures: list[BaseException] = []
        self.away = 0
        self.hung = False
        self.flows = asyncio.Event()
        self.flows.set()
        self._turn = asyncio.Lock()

    def start(self) -> Reader:
        """Begin to read."""
        self.source.start(self.fences, self.put, self.failures.append)
        return self

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if self.hung:
            await asyncio.Event().wait()
        if self.away:
            self.away -= 1
            raise StoreAway("not yet")
        return {tp: self.sink.fence[tp] for tp in partitions}

    async def put(self, batch: RawBatch) -> None:
        self.batches.append(batch)
        async with self._turn:
            await self.flows.wait()
            self.source.taken()
            if batch.epoch != self.source.epoch:
                return
            if self.sink.take(batch):
                self.source.applied(batch.spans)
            else:
                self.source.rewind(self.sink.fence)

    @property
    def held(self) -> set[TopicPartition]:
        """What is assigned to it."""
        return set(self.source.applied_offsets)


Read = Callable[..., Reader]


@pytest.fixture
def sink(small: Settings) -> ListSink:
    return ListSink(small)


@pytest.fixture
async def read(small: Settings, sink: ListSink, world: FeedWorld) -> AsyncIterator[Read]:
    """Makes readers, and stops those that were started."""
    made: list[Reader] = []

    def make(slot: str = "a", settings: Settings = small) -> Reader:
        made.append(Reader(settings, sink, slot))
        return made[-1]

    yield make
    for reader in made:
        reader.flows.set()
    await asyncio.gather(*(one.source.stop() for one in made if one.source._thread.ident is not None))


async def complete(world: FeedWorld, sink: ListSink) -> None:
    """Wait until all of the log is applied; each offset was, once and in order."""
    ends = await world.ends()

    async def reached() -> bool:
        return sink.fence == ends

    await until(f"the sink comes to {ends}", reached)
    assert sink.applied == {tp: list(range(end + 1)) for tp, end in ends.items()}


async def assigned(*readers: Reader) -> None:
    """Wait until every partition is held by one of ``readers``, and each holds some."""

    async def done() -> bool:
        held = [tp for reader in readers for tp in reader.held]
        return sorted(held) == sorted(readers[0].sink.fence) and all(reader.held for reader in readers)

    await until("everything is assigned", done)


async def fails(reader: Reader) -> BaseException:
    """Wait for what ends its thread."""

    async def failed() -> bool:
        return bool(reader.failures)

    await until("the source ends", failed)
    return reader.failures[0]


async def test_every_record_is_handed_over_once_in_bounded_batches(
    world: FeedWorld, sink: ListSink, read: Read
) -> None:
    await world.live(300)
    reader = read().start()
    await complete(world, sink)
    await world.live(50)
    await complete(world, sink)
    assert sink.behind == 0
    assert max(len(batch.records) for batch in reader.batches) <= BATCH
    # A quiet log: an empty batch over all that is held, within the time for idle calls and again.
    seen = len(reader.batches)

    async def idle() -> bool:
        return len(reader.batches) >= seen + 2

    await until("two idle calls", idle, 5)
    assert all(set(batch.spans) == set(sink.fence) and not batch.records for batch in reader.batches[seen:])
    assert set(reader.source.lag().values()) <= {0}


async def test_the_marker_that_ends_a_transaction_is_stepped_over(
    small: Settings, world: FeedWorld, sink: ListSink, read: Read
) -> None:
    """Else no fence would ever reach the log's end, and whoever waits for that would wait for ever."""
    await world.live(50)
    written = await asyncio.to_thread(transaction, small, [world.published(author, 1) for author in world.people[:8]])
    reader = read().start()

    async def marked() -> bool:
        ends = await world.ends()
        return all(ends[tp] > offset for tp, offset in written)

    # A commit is answered before the markers are written.
    await until("every partition has its marker", marked)
    ends = await world.ends()
    assert any(ends[tp] == offset + 1 for tp, offset in written), "nothing follows the marker"

    async def reached() -> bool:
        return sink.fence == ends

    await until(f"the sink comes to {ends}", reached)
    assert all(offset in sink.applied[tp] for tp, offset in written)
    assert sink.behind == 0
    # Between records, too, and it is no reason to go back.
    await world.live(50)
    ends = await world.ends()
    await until(f"the sink comes to {ends}", reached)
    assert sink.behind == 0 and not reader.failures


def transaction(settings: Settings, events: list[PostPublished]) -> list[tuple[TopicPartition, int]]:
    """Write ``events`` in one transaction; where they stand."""
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "transactional.id": settings.topic("test"),
            "partitioner": "murmur2_random",
        }
    )
    written: list[tuple[TopicPartition, int]] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None
        written.append((TopicPartition("posts", message.partition() or 0), message.offset() or 0))

    producer.init_transactions(15)
    producer.begin_transaction()
    for event in events:
        producer.produce(settings.topic("posts"), encode(event), event.key, on_delivery=delivered)
    producer.commit_transaction(15)
    return written


async def test_it_starts_at_the_sinks_fences_and_nowhere_else(world: FeedWorld, sink: ListSink, read: Read) -> None:
    await world.live(200)
    first = read().start()
    await complete(world, sink)
    await first.source.stop()
    # Kafka's committed offsets are at the end; the sink went back to its beginning in one partition, and lost half
    # of another one.
    one, other = (tp for tp in list(sink.fence)[:2])
    sink.fence[one], sink.applied[one] = -1, []
    half = sink.fence[other] // 2
    sink.fence[other], sink.applied[other] = half, sink.applied[other][: half + 1]
    read().start()
    await complete(world, sink)
    assert sink.behind == 0


async def test_no_more_than_a_few_batches_are_in_memory(world: FeedWorld, sink: ListSink, read: Read) -> None:
    reader = read()
    reader.flows.clear()
    reader.start()
    await assigned(reader)
    await world.live(500)

    async def full() -> bool:
        return len(reader.batches) >= AHEAD

    await until("the channel is full", full)

    async def lags() -> bool:
        # Also while nothing can be handed over: the watchdog looks at it.
        return sum(reader.source.lag().values()) >= 400

    await until("the lag is known", lags)
    assert len(reader.batches) == AHEAD
    reader.flows.set()
    await complete(world, sink)
    assert sink.behind == 0


async def test_a_reader_that_waits_long_stays_in_the_group(
    world: FeedWorld, sink: ListSink, read: Read, small: Settings
) -> None:
    """Its partitions are not taken away; others can join and leave meanwhile."""
    reader = read()
    reader.flows.clear()
    reader.start()
    await assigned(reader)
    await world.live(300)

    async def full() -> bool:
        return len(reader.batches) >= AHEAD

    await until("the channel is full", full)
    other = read("b").start()
    await assigned(reader, other)
    reader.flows.set()
    await complete(world, sink)


async def test_two_readers_share_posts_and_graph_alike_and_hand_over_to_each_other(
    world: FeedWorld, sink: ListSink, read: Read
) -> None:
    one = read("a").start()
    await assigned(one)
    living = asyncio.create_task(world.live(800))
    two = read("b").start()
    await assigned(one, two)
    for reader in (one, two):
        partitions = [sorted(tp.partition for tp in reader.held if tp.topic == topic) for topic in SOURCES]
        assert partitions[0] == partitions[1], "posts and graph are co-partitioned"
    await living
    await complete(world, sink)
    await one.source.stop()
    await world.live(100)
    await complete(world, sink)
    assert two.held == set(sink.fence)
    assert not one.failures + two.failures


async def test_a_rewind_hands_over_again_from_there(world: FeedWorld, sink: ListSink, read: Read) -> None:
    read().start()
    await world.live(200)
    await complete(world, sink)
    # The sink loses its last records: the next batch, idle or not, does not follow on it.
    for tp in sink.fence:
        del sink.applied[tp][3:]
        sink.fence[tp] = len(sink.applied[tp]) - 1
    await complete(world, sink)
    assert sink.behind >= 1


async def test_a_loss_is_noticed_in_quiet_partitions_beside_a_busy_one(
    world: FeedWorld, sink: ListSink, read: Read
) -> None:
    reader = read().start()
    await world.live(200)
    await complete(world, sink)
    (busy, _), *_ = await world.say([world.published(world.people[0], 1000)])
    lost = {tp: fence for tp, fence in sink.fence.items() if tp != busy and fence >= 3}
    assert lost
    for tp in lost:
        del sink.applied[tp][3:]
        sink.fence[tp] = 2
    # In no time for an idle call is there nothing to read.
    for number in itertools.count(1001):
        seen = len(reader.batches)
        await world.say([world.published(world.people[0], number)])

        async def read_on(seen: int = seen) -> bool:
            return any(batch.records for batch in reader.batches[seen:])

        await until("it is read", read_on)
        if all(sink.fence[tp] >= fence for tp, fence in lost.items()):
            break
        assert number < 3000, "the loss is not noticed"
    await complete(world, sink)


async def test_a_sink_that_is_away_is_asked_again(world: FeedWorld, sink: ListSink, read: Read) -> None:
    await world.live(50)
    reader = read()
    reader.away = 3
    reader.start()
    await complete(world, sink)
    assert reader.away == 0


async def test_a_reader_whose_sink_never_answers_can_be_stopped(world: FeedWorld, read: Read) -> None:
    reader = read()
    reader.hung = True
    asked = asyncio.Event()
    fences = reader.fences

    async def ask(partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        asked.set()
        return await fences(partitions)

    reader.source.start(ask, reader.put, reader.failures.append)
    await asyncio.wait_for(asked.wait(), 20)
    began = time.monotonic()
    await reader.source.stop()
    assert time.monotonic() - began < 10
    assert not reader.failures


async def test_a_reader_that_never_began_can_be_stopped(read: Read) -> None:
    await read().source.stop()


async def test_a_fence_beyond_the_logs_end_is_a_remade_log(world: FeedWorld, sink: ListSink, read: Read) -> None:
    await world.live(50)
    tp = next(iter(sink.fence))
    sink.fence[tp] = 1000
    error = await fails(read().start())
    assert isinstance(error, LogRemade)
    assert "but a sink of test has applied up to 1000" in str(error)
    assert str(tp) in str(error)


async def test_a_log_that_lost_its_beginning_is_told(
    world: FeedWorld, sink: ListSink, read: Read, small: Settings
) -> None:
    await world.live(200)
    tp = max((await world.ends()).items(), key=lambda item: item[1])[0]
    admin = AdminClient({"bootstrap.servers": small.kafka_bootstrap})
    for future in admin.delete_records([KafkaPartition(small.topic(tp.topic), tp.partition, 5)]).values():
        future.result()
    error = await fails(read().start())
    assert isinstance(error, LogRemade)
    assert str(error) == f"{tp} begins at offset 5, but test needs it from 0 on"
    # A sink that has what is gone needs nothing of it.
    sink.fence[tp], sink.applied[tp] = 4, list(range(5))
    read("b").start()
    await complete(world, sink)


@pytest.mark.parametrize("full", [False, True], ids=["while it reads", "while it waits for room"])
async def test_a_second_reader_of_the_same_slot_ends_the_first(
    full: bool, world: FeedWorld, sink: ListSink, read: Read
) -> None:
    """Two live workers must not share a slot; which of them is meant is clear: the later one."""
    first = read("a").start()
    await assigned(first)
    if full:
        first.flows.clear()
        await world.live(300)

        async def waits() -> bool:
            return first.source._rewound

        await until("it gives up fetching", waits)
    second = read("a").start()
    error = await fails(first)
    assert isinstance(error, KafkaException)
    await world.live(100)
    await assigned(second)
    await complete(world, sink)
    assert not second.failures
