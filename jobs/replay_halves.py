"""A second process that reads its share of the log: decoding is most of what building feeds costs, and takes a core.

It decodes and projects its own partitions, and sends what the bulk sink would keep, as columns of numbers. It writes
nothing, so it may end with its parent at any moment.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

from jobs.replay_engine import projected
from jobs.replay_log import Offsets, ReplayLog
from sinks.errors import StoreAway
from sinks.home_feed_bulk import BulkHomeFeedSink, packed
from sinks.home_feed_columns import Columns
from sinks.replay_poison import Poison, PoisonBook
from sinks.settings import Settings
from streams.home_feed import HOME_FEED
from streams.records import TopicPartition

START_EVENTS = 80_000
"""What one process reads while another one starts: some 1.5 s of imports. It is given so much less."""
_BATCH = 5_000
_WAIT_SECONDS = 0.1


class Portion(NamedTuple):
    """What one batch came to."""

    columns: Columns
    poison: list[Poison]
    events: int


def others_share(left: Offsets, rate: float) -> list[TopicPartition]:
    """The partitions for the second process, of those with so many events ``left``: such that both end at about the
    same time. None where it is not worth its start."""
    if rate or (os.cpu_count() or 1) < 2:
        return []
    share = (sum(left.values()) - START_EVENTS) / 2
    taken: list[TopicPartition] = []
    for tp, events in sorted(left.items(), key=lambda one: -one[1]):
        if 0 < events <= share:
            taken.append(tp)
            share -= events
    return taken


@asynccontextmanager
async def other_half(
    settings: Settings, sink: BulkHomeFeedSink, book: PoisonBook, ends: Offsets, heard: Callable[[int], None]
) -> AsyncIterator[asyncio.Task[None]]:
    """A task that brings the partitions of ``ends`` into ``sink``, up to there; ``heard`` is told how many records.

    It fails with ``StoreAway`` and ``LogRemade``; with the block, the process ends.
    """
    context = multiprocessing.get_context("spawn")  # librdkafka's threads do not survive a fork
    ours, theirs = context.Pipe(duplex=False)
    fences = await sink.fences(list(ends))
    process = context.Process(target=_read, args=(settings, fences, dict(ends), theirs), daemon=True)
    await asyncio.to_thread(process.start)
    theirs.close()
    task = asyncio.create_task(_take(ours, sink, book, heard))
    try:
        yield task
    finally:
        process.kill()
        await asyncio.to_thread(process.join)
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # heard already, or of no interest any more
        ours.close()


async def _take(ours: Connection, sink: BulkHomeFeedSink, book: PoisonBook, heard: Callable[[int], None]) -> None:
    while True:
        try:
            said = await asyncio.to_thread(ours.recv)
        except EOFError:
            raise StoreAway("the process that reads half of the log has ended: run the command again") from None
        if said is None:
            return
        if isinstance(said, Exception):
            raise said
        portion: Portion = said
        if portion.poison:
            await book.put(portion.poison)
        await sink.extend(portion.columns)
        heard(portion.events)


def _read(settings: Settings, fences: dict[TopicPartition, int], ends: Offsets, theirs: Connection) -> None:
    """What the other process does."""
    log = ReplayLog(settings, HOME_FEED.sources)
    try:
        log.place(fences)
        while not all(log.position[tp] >= end or tp in log.at_end for tp, end in ends.items()):
            taken = log.take(_BATCH, _WAIT_SECONDS)
            writes, refused = projected(HOME_FEED, taken.records)
            columns = Columns()
            packed(writes, columns)
            columns.fences = {tp: span.last for tp, span in taken.spans.items()}
            theirs.send(Portion(columns, [*taken.poison, *refused], taken.events))
        theirs.send(None)
    except BrokenPipeError:
        pass  # nobody waits any more
    except Exception as error:
        theirs.send(error)
    finally:
        log.close()
