"""How old a view is: what is behind makes it old, and nothing else does."""

from __future__ import annotations

from agents.freshness import Freshness
from agents.metrics import REGISTRY, ViewGauges
from agents.positions import RawRecord
from streams.records import TopicPartition

ONE, OTHER = TopicPartition("posts", 0), TopicPartition("posts", 1)


def record(tp: TopicPartition, offset: int, seconds: float) -> RawRecord:
    return RawRecord(tp, offset, int(seconds * 1000), None, None)


def test_a_view_that_has_all_of_the_log_is_not_old_however_long_nothing_happens() -> None:
    fresh = Freshness()
    fresh.applied([record(ONE, 0, 1000)])
    assert fresh.age({ONE: 0, OTHER: 0}, 5000) == 0
    # What came after that look is at most as old as the look.
    assert fresh.age({ONE: 1, OTHER: 0}, 5003) == 3


def test_a_view_is_as_old_as_the_partition_that_is_furthest_behind() -> None:
    fresh = Freshness()
    fresh.age({ONE: 0, OTHER: 0}, 100)
    fresh.applied([record(ONE, 0, 130), record(ONE, 1, 140)])
    assert fresh.age({ONE: 5, OTHER: 7}, 150) == 50
    fresh.applied([record(OTHER, 0, 149), record(ONE, 2, 145)])
    assert fresh.age({ONE: 4, OTHER: 6}, 150) == 5
    # An older record that is applied again, after a fence went back, makes nothing younger or older.
    fresh.applied([record(ONE, 0, 10)])
    assert fresh.age({ONE: 4, OTHER: 6}, 150) == 5


def test_a_worker_that_comes_late_is_as_old_as_what_it_finds_first() -> None:
    fresh = Freshness()
    fresh.fetched([record(ONE, 5, 100), record(ONE, 6, 190)])
    assert fresh.age({ONE: 2}, 200) == 100


def test_a_partition_that_another_worker_has_counts_no_more() -> None:
    fresh = Freshness()
    fresh.age({ONE: 0, OTHER: 0}, 100)
    assert fresh.age({ONE: 3, OTHER: 0}, 200) == 100
    assert fresh.age({OTHER: 1}, 210) == 10
    # It comes back, and nothing is known of it.
    assert fresh.age({ONE: 3, OTHER: 0}, 300) == 0


def test_who_has_no_partition_says_nothing_of_the_view() -> None:
    gauges = ViewGauges("a view of this test")
    labels = {"view": "a view of this test"}

    def age() -> float | None:
        return REGISTRY.get_sample_value("shutterlog_view_age_seconds", labels)

    def lag(tp: TopicPartition) -> float | None:
        return REGISTRY.get_sample_value("shutterlog_lag_records", {**labels, "partition": str(tp)})

    gauges.lag({}, 100)
    assert age() is None
    gauges.lag({ONE: 0, OTHER: 0}, 100)
    gauges.lag({ONE: 0, OTHER: 2}, 104)
    assert (age(), lag(ONE), lag(OTHER)) == (4, 0, 2)
    gauges.lag({ONE: 0}, 105)
    assert (age(), lag(ONE), lag(OTHER)) == (0, 0, None)
    gauges.lag({}, 106)
    assert (age(), lag(ONE)) == (None, None)


def test_a_batch_counts_from_its_oldest_record() -> None:
    gauges = ViewGauges("another view of this test")
    labels = {"view": "another view of this test"}
    gauges.applied([], 200)
    gauges.applied([record(ONE, 0, 199), record(OTHER, 0, 190)], 200)
    assert REGISTRY.get_sample_value("shutterlog_freshness_seconds_count", labels) == 1
    assert REGISTRY.get_sample_value("shutterlog_freshness_seconds_sum", labels) == 10
