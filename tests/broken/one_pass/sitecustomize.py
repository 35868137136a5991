"""Agents for whom the home feed's first pass is all of it: a worker that dies before the second never makes it up."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence


def broken() -> None:
    """Start from the first pass's fences, and let the second begin anywhere."""
    from sinks.home_feed import HomeFeedSink
    from sinks.home_feed_buckets import PUSH, STATE, Call, Reply
    from streams.records import Span, Spans, TopicPartition

    call = HomeFeedSink._call

    async def fences(self: HomeFeedSink, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        self._followers.clear()
        stored = await self._buckets.fences()
        return {tp: min(bucket.get(f"{STATE}:{tp}", (-1, ""))[0] for bucket in stored) for tp in partitions}

    async def _call(self: HomeFeedSink, calls: Sequence[Call], spans: Spans) -> list[Reply]:
        anywhere = {tp: Span(-1, span.last) for tp, span in spans.items()}
        return await call(self, [one._replace(spans=anywhere) if one.which == PUSH else one for one in calls], spans)

    HomeFeedSink.fences = fences  # type: ignore[method-assign]
    HomeFeedSink._call = _call  # type: ignore[method-assign]


if "agents" in sys.orig_argv:
    broken()
