"""The watchdog ends what stands still, and nothing else."""

from __future__ import annotations

import pytest

from agents.watchdog import PATIENCE, Stalled, Watchdog
from streams.records import TopicPartition

A, B = TopicPartition("posts", 0), TopicPartition("posts", 1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watchdog(clock: Clock) -> Watchdog:
    return Watchdog(60.0, clock)


def test_it_ends_a_worker_that_stands_still_with_work_to_do(watchdog: Watchdog, clock: Clock) -> None:
    for _ in range(61):
        watchdog.look({A: 7, B: 3}, {A: 10, B: 0}, False)
        clock.now += 1
    with pytest.raises(Stalled, match="nothing applied for 61 s"):
        watchdog.look({A: 7, B: 3}, {A: 10, B: 0}, False)


def test_a_worker_that_moves_is_left_alone_whatever_its_lag(watchdog: Watchdog, clock: Clock) -> None:
    for step in range(500):
        watchdog.look({A: step // 30}, {A: 10 + step}, False)
        clock.now += 1


def test_a_quiet_log_is_no_stall(watchdog: Watchdog, clock: Clock) -> None:
    for _ in range(500):
        watchdog.look({A: 7}, {A: 0}, False)
        clock.now += 1
    for _ in range(59):
        watchdog.look({A: 7}, {A: 1}, False)
        clock.now += 1


def test_nothing_assigned_is_no_stall(watchdog: Watchdog, clock: Clock) -> None:
    for _ in range(500):
        watchdog.look({}, {}, False)
        clock.now += 1
    watchdog.look({A: 7}, {A: 1}, False)


def test_a_partition_may_wait_for_others_but_not_for_ever(watchdog: Watchdog, clock: Clock) -> None:
    for step in range(60 * PATIENCE + 1):
        watchdog.look({A: 7, B: step}, {A: 1, B: 1000}, False)
        clock.now += 1
    with pytest.raises(Stalled, match="posts-0 stands at 7"):
        watchdog.look({A: 7, B: 999}, {A: 1, B: 1000}, False)


def test_waiting_for_a_store_is_no_stall(watchdog: Watchdog, clock: Clock) -> None:
    for step in range(500):
        watchdog.look({A: 7}, {A: 10 + step}, True)
        clock.now += 1
    # The time begins anew when the store is back.
    for _ in range(60):
        watchdog.look({A: 7}, {A: 600}, False)
        clock.now += 1
    clock.now += 1
    with pytest.raises(Stalled):
        watchdog.look({A: 7}, {A: 600}, False)
