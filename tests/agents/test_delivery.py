"""The error policy of ``deliver``: each row of its table."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence

import pytest

from agents.delivery import Delivery, Limits, PoisonFlood
from agents.positions import RawBatch, RawRecord
from schemas.codec import encode
from schemas.events import Event, Followed, Unfollowed
from schemas.ids import MIN_ID
from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.settings import Settings
from streams.records import Record, Span, Spans, TopicPartition
from streams.views import Refused, View

A = TopicPartition("graph", 0)
ADA, BOB, EVE = MIN_ID + 1, MIN_ID + 2, MIN_ID + 3


def project(records: Sequence[Record]) -> list[int]:
    """A view that refuses people who follow themselves, and breaks over those who unfollow themselves."""
    for record in records:
        event = record.event
        assert isinstance(event, Followed | Unfollowed)
        if event.follower_id == event.followee_id:
            if isinstance(event, Followed):
                raise Refused(f"{event.follower_id} cannot follow themselves")
            raise KeyError("a bug")
    return [record.offset for record in records]


VIEW: View[int] = View("likes_nobody", ("graph",), project)


def event(follower: int = ADA, followee: int = BOB, kind: type[Followed] | type[Unfollowed] = Followed) -> Event:
    return kind(event_id=MIN_ID, at=1, actor_id=follower, follower_id=follower, followee_id=followee)


def good(offset: int, said: Event | None = None, tp: TopicPartition = A) -> RawRecord:
    said = said or event()
    return RawRecord(tp, offset, 5, said.key, encode(said))


def rotten(offset: int) -> RawRecord:
    return RawRecord(A, offset, 5, b"%d" % BOB, b"not avro")


def batch(*records: RawRecord, epoch: int = 1, prior: int = -1) -> RawBatch:
    return RawBatch(epoch, records, {A: Span(prior, records[-1].offset if records else prior)})


class World:
    """The fakes around one delivery. ``script`` is what the sink does, call by call, before it applies."""

    def __init__(self) -> None:
        self.epoch = 1
        self.script: list[Callable[[], None]] = []
        self.burying: list[Callable[[], None]] = []
        self.calls: list[tuple[list[int], dict[TopicPartition, Span]]] = []
        self.landed: list[tuple[list[int], dict[TopicPartition, Span]]] = []
        self.rewinds: list[dict[TopicPartition, int]] = []
        self.told: list[dict[TopicPartition, Span]] = []
        self.dead: list[tuple[int, str, str, str | None]] = []
        self.pauses: list[int] = []
        self.waiting: list[bool] = []
        self.counted = 0
        self.happenings: list[str] = []
        self.on_pause: Callable[[], None] = lambda: None
        self.limits = Limits()
        self.delivery = Delivery(VIEW, self, self, self, self, self.pause, self.limits)

    async def deliver(self, *records: RawRecord, epoch: int = 1) -> None:
        await self.delivery.deliver(batch(*records, epoch=epoch))

    # The sink.
    async def apply(self, writes: Sequence[int], spans: Spans) -> None:
        self.calls.append((list(writes), dict(spans)))
        if self.script:
            self.script.pop(0)()
        self.landed.append((list(writes), dict(spans)))

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        raise AssertionError("deliver never asks for fences: the source does")

    # The source.
    def rewind(self, fences: Mapping[TopicPartition, int]) -> None:
        self.rewinds.append(dict(fences))
        self.epoch += 1

    def applied(self, spans: Spans) -> None:
        self.told.append(dict(spans))

    # The dead letters.
    async def put(self, record: RawRecord, error: str, stack: str, view: str | None) -> None:
        if self.burying:
            self.burying.pop(0)()
        self.dead.append((record.offset, error, stack, view))

    # The gauges.
    def delivered(self, records: int) -> None:
        self.counted += records

    def happened(self, what: str) -> None:
        self.happenings.append(what)

    async def pause(self, tries: int) -> None:
        self.pauses.append(tries)
        self.waiting.append(self.delivery.waiting)
        self.on_pause()

    def become_void(self) -> None:
        self.epoch += 1


def raising(error: Exception) -> Callable[[], None]:
    def strike() -> None:
        raise error

    return strike


@pytest.fixture
def world() -> World:
    return World()


async def test_a_good_batch_lands_once_and_its_spans_are_told(world: World) -> None:
    await world.deliver(good(3), good(4))
    assert world.landed == [([3, 4], {A: Span(-1, 4)})]
    assert world.told == [{A: Span(-1, 4)}]
    assert (world.counted, world.happenings, world.dead) == (2, [], [])


async def test_an_idle_batch_reaches_the_sink(world: World) -> None:
    """That is how a lost store is noticed on a quiet log."""
    await world.deliver()
    assert world.landed == [([], {A: Span(-1, -1)})]


async def test_poison_is_buried_once_and_the_rest_goes_on(world: World) -> None:
    await world.deliver(good(0), rotten(1), good(2))
    assert world.landed == [([0, 2], {A: Span(-1, 2)})]
    ((offset, error, stack, view),) = world.dead
    assert (offset, stack, view) == (1, "", None)
    assert error
    assert world.happenings == ["poison"]
    assert world.counted == 2


async def test_a_batch_of_nothing_but_poison_moves_the_fence(world: World) -> None:
    await world.deliver(rotten(0), rotten(1))
    assert world.landed == [([], {A: Span(-1, 1)})]
    assert [dead[0] for dead in world.dead] == [0, 1]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (RawRecord(A, 0, 5, b"%d" % BOB, None), "tombstone"),
        (good(0, tp=TopicPartition("posts", 0)), "a Followed belongs into graph, not into posts"),
        (good(0)._replace(key=b"%d" % ADA), f"says b'{BOB}'"),
        (good(0)._replace(key=None), "the key of this Followed is None"),
        (good(0)._replace(value=b""), ""),
        (good(0)._replace(value=(good(0).value or b"")[:-1]), ""),
        (good(0)._replace(value=(good(0).value or b"") + b"\0"), ""),
    ],
    ids=["tombstone", "wrong topic", "wrong key", "no key", "empty", "truncated", "trailing byte"],
)
async def test_what_is_poison(world: World, record: RawRecord, reason: str) -> None:
    await world.deliver(record, good(1))
    assert [(offset, view) for offset, _, _, view in world.dead] == [(0, None)]
    assert reason in world.dead[0][1]
    assert world.landed[0][0] == [1]


@pytest.mark.parametrize("kind", [Followed, Unfollowed], ids=["refused", "raises"])
async def test_a_views_refusal_is_marked_with_the_view(world: World, kind: type[Followed] | type[Unfollowed]) -> None:
    await world.deliver(good(0), good(1, event(EVE, EVE, kind)), good(2))
    assert world.landed == [([0, 2], {A: Span(-1, 2)})]
    ((offset, _, stack, view),) = world.dead
    assert (offset, view) == (1, "likes_nobody")
    assert "Traceback" in stack
    assert world.happenings == ["refused"]


async def test_poison_and_refusals_of_one_batch_are_told_apart(world: World) -> None:
    await world.deliver(rotten(0), good(1, event(EVE, EVE)), good(2))
    assert [(offset, view) for offset, _, _, view in world.dead] == [(0, None), (1, "likes_nobody")]
    assert world.landed[0][0] == [2]


async def test_a_run_of_poison_ends_before_it_fills_the_dlq(world: World) -> None:
    with pytest.raises(PoisonFlood, match="101 records in a row"):
        await world.deliver(*(rotten(n) for n in range(500)))
    assert len(world.dead) == 100
    assert world.calls == []


async def test_a_run_of_poison_may_span_batches_and_one_good_record_ends_it(world: World) -> None:
    for n in range(60):
        await world.deliver(rotten(n))
    await world.deliver(good(60))
    for n in range(61, 161):
        await world.deliver(rotten(n))
    with pytest.raises(PoisonFlood, match="in a row"):
        await world.deliver(rotten(161))


async def test_limits_are_settings_and_a_flood_says_which_and_where_to_look(world: World) -> None:
    limits = Limits.of(Settings(poison_consecutive=3, poison_ratio=0.1, poison_window=10))
    world.delivery.limits = limits
    with pytest.raises(PoisonFlood, match=r"4 records in a row .*dlq list --topic graph.* raise POISON_CONSECUTIVE$"):
        await world.deliver(*(rotten(n) for n in range(9)))
    assert len(world.dead) == 3
    world.delivery.limits = Limits.of(Settings(poison_ratio=0.1, poison_window=10))
    with pytest.raises(PoisonFlood, match=r"2 of the last 10 .*dlq list --topic graph.* raise POISON_RATIO"):
        await world.deliver(rotten(0), *(good(n) for n in range(1, 9)), rotten(9))


async def test_a_flood_of_refusals_ends_the_worker(world: World) -> None:
    with pytest.raises(PoisonFlood):
        await world.deliver(*(good(n, event(EVE, EVE)) for n in range(500)))
    assert len(world.dead) == 100


async def test_poison_in_more_than_half_of_the_records_ends_the_worker(world: World) -> None:
    with pytest.raises(PoisonFlood, match="of the last 2"):
        for n in range(0, 300, 3):
            await world.deliver(rotten(n), rotten(n + 1), good(n + 2))
    # Nothing is left out of the DLQ or the sink but the batch in hand.
    assert len(world.dead) >= 130


async def test_poison_here_and_there_never_ends_the_worker(world: World) -> None:
    for n in range(0, 2000, 4):
        await world.deliver(good(n), rotten(n + 1), good(n + 2), good(n + 3))
    assert len(world.dead) == 500


@pytest.mark.parametrize("bad", [rotten, lambda n: good(n, event(EVE, EVE))], ids=["poison", "refusals"])
async def test_poison_here_and_there_in_one_large_batch_is_no_run(
    world: World, bad: Callable[[int], RawRecord]
) -> None:
    await world.deliver(*(bad(n) if n % 5 == 0 else good(n) for n in range(1000)))
    assert len(world.dead) == 200
    assert len(world.landed[0][0]) == 800


async def test_a_store_that_is_away_is_tried_again_with_the_same_call(world: World) -> None:
    world.script = [raising(StoreAway("gone"))] * 3
    await world.deliver(good(0), good(1))
    assert world.calls == [([0, 1], {A: Span(-1, 1)})] * 4
    assert world.pauses == [1, 2, 3]
    assert world.waiting == [True] * 3
    assert not world.delivery.waiting
    assert world.happenings == ["store_away"] * 3
    assert world.counted == 2


async def test_a_store_that_is_away_is_given_up_with_the_partition(world: World) -> None:
    world.script = [raising(StoreAway("gone"))] * 5
    world.on_pause = lambda: world.become_void() if len(world.pauses) == 2 else None
    await world.deliver(good(0))
    assert len(world.calls) == 2
    assert (world.landed, world.told, world.counted) == ([], [], 0)
    assert world.happenings == ["store_away", "store_away", "void"]
    assert not world.delivery.waiting


async def test_a_void_batch_touches_nothing(world: World) -> None:
    await world.deliver(good(0), rotten(1), epoch=0)
    assert (world.calls, world.told, world.dead) == ([], [], [])
    assert world.happenings[-1] == "void"


async def test_a_dlq_that_is_away_holds_the_batch(world: World) -> None:
    world.burying = [raising(StoreAway("gone"))] * 2
    await world.deliver(rotten(0), good(1))
    assert world.pauses == [1, 2]
    assert [dead[0] for dead in world.dead] == [0]
    assert world.landed == [([1], {A: Span(-1, 1)})]


async def test_a_dlq_that_is_away_is_given_up_with_the_partition(world: World) -> None:
    world.burying = [raising(StoreAway("gone"))] * 5
    world.on_pause = world.become_void
    await world.deliver(rotten(0), good(1))
    assert (world.dead, world.calls) == ([], [])
    assert world.happenings[-1] == "void"
    assert not world.delivery.waiting


async def test_a_fence_that_went_back_rewinds_the_source(world: World) -> None:
    world.script = [raising(FenceBehind({A: 41}))]
    await world.deliver(good(60), good(61))
    assert world.rewinds == [{A: 41}]
    assert (world.landed, world.told, world.counted) == ([], [], 0)
    assert world.happenings == ["rewound"]
    # What comes next is of the new epoch; what is still about of the old one is void.
    await world.deliver(good(62), epoch=1)
    assert world.landed == []
    await world.deliver(good(42), epoch=2)
    assert world.landed[0][0] == [42]


async def test_a_fence_that_went_back_is_the_next_owners_matter_after_a_rebalance(world: World) -> None:
    def strike() -> None:
        world.become_void()
        raise FenceBehind({A: 41})

    world.script = [strike]
    await world.deliver(good(60))
    assert world.rewinds == []


@pytest.mark.parametrize("error", [LogRemade("remade"), ValueError("a bug"), RuntimeError("unknown")])
async def test_all_else_escapes_at_once(world: World, error: Exception) -> None:
    world.script = [raising(error)]
    with pytest.raises(type(error)):
        await world.deliver(good(0))
    assert (len(world.calls), world.told, world.pauses) == (1, [], [])


async def test_what_the_dlq_does_not_know_escapes(world: World) -> None:
    world.burying = [raising(ValueError("a bug"))]
    with pytest.raises(ValueError, match="a bug"):
        await world.deliver(rotten(0))
    assert world.calls == []


@pytest.mark.parametrize("seed", range(20))
def test_good_records_count_together_as_they_do_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    together, alone = Limits(3, 0.3, 10), Limits(3, 0.3, 10)
    for _ in range(60):
        good, flooded = chance.choice([0, 1, 4, 25]), []
        for limits in (together, alone):
            try:
                if limits is together:
                    limits.count_good(good, "posts")
                else:
                    for _ in range(good):
                        limits.count(False, "posts")
                limits.count(True, "posts")
            except PoisonFlood:
                flooded.append(limits)
        assert together == alone and len(flooded) in (0, 2)
        if flooded:
            return
