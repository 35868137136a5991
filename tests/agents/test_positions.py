"""The laws of ``Positions``: within one epoch nothing is skipped and nothing is handed out twice."""

from __future__ import annotations

from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from agents.positions import Positions, RawBatch, RawRecord
from streams.records import Span, TopicPartition

A, B = TopicPartition("posts", 0), TopicPartition("graph", 0)
PARTITIONS = (A, B)
# Transactions and compaction leave offsets that no record has.
OFFSETS = {A: list(range(40)), B: [n for n in range(60) if n % 7 not in (3, 4)]}


def record(tp: TopicPartition, offset: int) -> RawRecord:
    return RawRecord(tp, offset, 0, b"k", b"v")


def after(tp: TopicPartition, last: int, count: int) -> list[RawRecord]:
    return [record(tp, offset) for offset in OFFSETS[tp] if offset > last][:count]


fences = st.dictionaries(st.sampled_from(PARTITIONS), st.integers(-1, 20))
counts = st.integers(0, 8)


class Laws(RuleBasedStateMachine):
    """A source that fetches from where it stands, sometimes with records of before, is assigned, and rewinds."""

    batches: Bundle[RawBatch] = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.positions = Positions()
        self.believed: dict[TopicPartition, int] = {}
        self.epoch = 0
        self.handed: list[RawBatch] = []
        """What was handed out in this epoch."""

    @initialize(start=fences)
    def begin(self, start: dict[TopicPartition, int]) -> None:
        self.assign(start)

    @rule(start=fences)
    def assign(self, start: dict[TopicPartition, int]) -> None:
        self.positions.assign(start)
        self._new_epoch(dict(start))

    @rule(back=fences)
    def rewind(self, back: dict[TopicPartition, int]) -> None:
        self.positions.rewind(back)
        self._new_epoch(self.believed | {tp: offset for tp, offset in back.items() if tp in self.believed})

    @rule(
        target=batches,
        each=st.fixed_dictionaries({A: counts, B: counts}),
        stale=st.lists(st.tuples(st.sampled_from(PARTITIONS), st.integers(0, 59)), max_size=4),
        ended=st.sets(st.sampled_from(PARTITIONS)),
    )
    def advance(
        self, each: dict[TopicPartition, int], stale: list[tuple[TopicPartition, int]], ended: set[TopicPartition]
    ) -> RawBatch:
        old = [record(tp, at) for tp, at in stale if at <= self.believed.get(tp, 99)]
        fresh = [one for tp, count in each.items() for one in after(tp, self.believed.get(tp, -1), count)]
        # The partition's end is told once all before it was read: at it, or after markers that are no records.
        read = {
            tp: max([one.offset for one in fresh if one.tp == tp], default=self.believed.get(tp, -1)) for tp in ended
        }
        ends = {tp: min([one.offset - 1 for one in after(tp, last, 1)], default=last) for tp, last in read.items()}
        batch = self.positions.advance(old + fresh, ends)
        expected = [one for one in fresh if one.tp in self.believed]
        assert list(batch.records) == expected
        reached = {one.tp: one.offset for one in expected}
        reached |= {tp: end for tp, end in ends.items() if end > self.believed.get(tp, end)}
        assert set(batch.spans) == set(reached)
        for tp, span in batch.spans.items():
            assert span == Span(self.believed[tp], reached[tp])
            self.believed[tp] = span.last
        self.handed.append(batch)
        return batch

    @rule()
    def idle(self) -> None:
        batch = self.positions.idle()
        assert not batch.records
        assert batch.spans == {tp: Span(last, last) for tp, last in self.believed.items()}
        assert batch.epoch == self.positions.epoch

    @rule(batch=batches)
    def is_void_or_of_now(self, batch: RawBatch) -> None:
        assert (batch.epoch == self.positions.epoch) == any(batch is one for one in self.handed)

    @invariant()
    def nothing_is_skipped_and_nothing_twice(self) -> None:
        """The batches of an epoch, put together, are an unbroken stretch of each partition."""
        for tp in PARTITIONS:
            spans = [batch.spans[tp] for batch in self.handed if tp in batch.spans]
            assert all(one.last == other.prior for one, other in zip(spans, spans[1:], strict=False))
            offsets = [one.offset for batch in self.handed for one in batch.records if one.tp == tp]
            if spans:
                assert offsets == [n for n in OFFSETS[tp] if spans[0].prior < n <= spans[-1].last]

    @invariant()
    def the_positions_are_the_fences_and_what_was_handed_out(self) -> None:
        assert dict(self.positions.last) == self.believed

    def _new_epoch(self, believed: dict[TopicPartition, int]) -> None:
        assert self.positions.epoch > self.epoch
        self.epoch, self.believed, self.handed = self.positions.epoch, believed, []


TestLaws = Laws.TestCase
TestLaws.settings = limits(max_examples=100, stateful_step_count=25, deadline=None)


def test_records_of_partitions_that_were_taken_away_are_left_out() -> None:
    positions = Positions()
    positions.assign({A: -1, B: 4})
    positions.assign({B: 4})
    batch = positions.advance([record(A, 0), record(B, 4), record(B, 5)])
    assert [(one.tp, one.offset) for one in batch.records] == [(B, 5)]
    assert batch.spans == {B: Span(4, 5)}


def test_a_rewind_of_a_partition_that_is_not_held_takes_nothing() -> None:
    positions = Positions()
    positions.assign({B: 4})
    positions.rewind({A: 1})
    assert positions.last == {B: 4}
    assert positions.advance([record(A, 2)]).spans == {}


def test_a_rewind_may_go_forwards() -> None:
    """Another worker may have applied more than this one: its records are not handed out again."""
    positions = Positions()
    positions.assign({A: 2})
    positions.rewind({A: 10})
    assert positions.advance([record(A, n) for n in range(3, 13)]).spans == {A: Span(10, 12)}
