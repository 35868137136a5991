"""The gateway's watch over views in Redis, as a task."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from sinks.home_feed_watch import FeedWatch
from sinks.redis import Circuit, connect
from streams.records import TopicPartition


async def no_ends() -> Mapping[TopicPartition, int]:
    return {}


@pytest.mark.parametrize("turns", range(6))
async def test_it_ends_though_it_is_told_so_just_when_there_is_something_new(turns: int) -> None:
    """A gateway whose watch did not end stood for ever."""
    watch = FeedWatch(connect("redis://nobody.invalid"), Circuit(), no_ends, buckets=1)
    async with asyncio.timeout(5) as limit, watch.watching():
        await asyncio.sleep(0)
        watch.of(1)
        for _ in range(turns):
            await asyncio.sleep(0)
    assert not limit.expired(), "it had to be ended by force"
