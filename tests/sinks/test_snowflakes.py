"""Ids rise, whatever the clock does, and differ between makers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import MAX_ID, MIN_ID, made_at
from sinks.snowflakes import SnowflakeMaker

NOW = 1_700_000_000_000


@given(st.lists(st.integers(NOW - 10_000, NOW + 10_000), min_size=2))
def test_ids_rise_whatever_the_clock_does(clock: list[int]) -> None:
    times = iter(clock)
    maker = SnowflakeMaker(5, lambda: next(times))
    ids = [maker.next() for _ in clock]
    assert all(one < other for one, other in pairwise(ids))
    assert all(MIN_ID <= made <= MAX_ID for made in ids)
    assert [made_at(made) for made in ids] == [max(clock[: n + 1]) for n in range(len(clock))]


def test_a_standing_clock_is_outrun_in_order() -> None:
    maker = SnowflakeMaker(1023, lambda: NOW)
    ids = [maker.next() for _ in range(10_000)]
    assert all(one < other for one, other in pairwise(ids))
    assert {made_at(made) for made in ids} == {NOW, NOW + 1, NOW + 2}


def test_two_nodes_never_make_the_same_id() -> None:
    one, other = (SnowflakeMaker(node, lambda: NOW) for node in (0, 1023))
    assert not {one.next() for _ in range(5000)} & {other.next() for _ in range(5000)}


def test_threads_never_get_the_same_id() -> None:
    maker = SnowflakeMaker(1)
    with ThreadPoolExecutor(4) as threads:
        ids = [made for part in threads.map(lambda _: [maker.next() for _ in range(5000)], range(4)) for made in part]
    assert len(set(ids)) == 20_000


@pytest.mark.parametrize("node", [-1, 1024])
def test_a_node_out_of_range_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match="0..1023"):
        SnowflakeMaker(node)
