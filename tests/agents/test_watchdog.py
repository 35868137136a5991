"""The watchdog ends what stands still, and nothing else."""

from __future__ import annotations

import pytest

from agents.watchdog import NEAR, PATIENCE, Stalled, Watchdog
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


def test_a_slow_batch_is_not_begun_anew_as_long_as_the_stores_answer(watchdog: Watchdog, clock: Clock) -> None:
    for step in range(60 * PATIENCE + 1):
        watchdog.look({A: 7}, {A: 10}, False, answers=step // 20)
        clock.now += 1
    with pytest.raises(Stalled, match="nothing applied for 301 s"):
        watchdog.look({A: 7}, {A: 10}, False, answers=100)


def test_a_worker_whose_stores_have_fallen_silent_is_ended(watchdog: Watchdog, clock: Clock) -> None:
    for step in range(130):
        watchdog.look({A: 7}, {A: 10}, False, answers=min(step, 70))
        clock.now += 1
    with pytest.raises(Stalled, match="nothing applied for 131 s"):
        for _ in range(2):
            watchdog.look({A: 7}, {A: 10}, False, answers=70)
            clock.now += 1


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


def test_a_partition_may_wait_for_others_as_long_as_these_have_much_to_do(watchdog: Watchdog, clock: Clock) -> None:
    much = 60 * PATIENCE + 200
    for step in range(much):
        watchdog.look({A: 7, B: step}, {A: 1, B: NEAR + much - step}, False)
        clock.now += 1
    with pytest.raises(Stalled, match=f"posts-0 stands at 7 since {much} s"):
        watchdog.look({A: 7, B: much}, {A: 1, B: NEAR}, False)


def test_a_partition_that_stands_while_others_flow_is_a_stall(watchdog: Watchdog, clock: Clock) -> None:
    # They always lag a little, and are never before it for long.
    for step in range(60 * PATIENCE + 1):
        watchdog.look({A: 7, B: step}, {A: 1, B: 5}, False)
        clock.now += 1
    with pytest.raises(Stalled, match="posts-0 stands at 7"):
        watchdog.look({A: 7, B: 999}, {A: 1, B: 5}, False)


def test_what_stands_still_itself_is_before_nobody(watchdog: Watchdog, clock: Clock) -> None:
    third = TopicPartition("posts", 2)
    with pytest.raises(Stalled, match="stands at 7 since 301 s"):
        for step in range(60 * PATIENCE + 2):
            watchdog.look({A: 7, B: 7, third: step}, {A: 9000, B: 9000, third: 1}, False)
            clock.now += 1


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
