"""The laws of design §4, for any view whose writes are rows.

``expected`` is what a reader should get: each test computes it by a plain fold of its own, so that a projection can
be wrong as well as unlawful.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from hypothesis import HealthCheck, settings

from schemas.events import Event
from streams.records import Record, TopicPartition
from streams.views import Delete, Upsert, View
from tests.streams.memory_tables import MemoryTables

PARTITIONS = 3
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For tests that share their machine with servers: how long an example takes says nothing here."""
Log = dict[TopicPartition, list[Record]]
Seen = TypeVar("Seen")
TableWrite = TypeVar("TableWrite", Upsert, Upsert | Delete)


def log_of(events: Sequence[Event]) -> Log:
    """``events`` in their order, each in the partition of its key. Offsets have holes, as those of real topics."""
    log: Log = defaultdict(list)
    for n, event in enumerate(events):
        tp = TopicPartition(event.TOPIC, int(event.key) % PARTITIONS)
        offset = log[tp][-1].offset + 1 + n % 2 if log[tp] else n % 3
        log[tp].append(Record(tp, offset, event.at, event))
    return dict(log)


def deliveries(log: Log, rng: random.Random) -> Iterator[list[Record]]:
    """Micro-batches as at-least-once delivery may bring them: any interleaving and any boundaries, with partitions that
    start again from somewhere before, and, last, old batches that a zombie still applies."""
    at = dict.fromkeys(log, 0)
    sent: list[list[Record]] = []
    while any(at[tp] < len(log[tp]) for tp in log):
        batch: list[Record] = []
        for tp in rng.sample(list(log), rng.randint(1, len(log))):
            if rng.random() < 0.3:
                at[tp] = rng.randint(0, at[tp])
            end = min(len(log[tp]), at[tp] + rng.randint(0, 4))
            batch += log[tp][at[tp] : end]
            at[tp] = end
        sent.append(batch)
        yield batch
    yield from rng.sample(sent, len(sent) // 2)


def check_laws(
    view: View[TableWrite],
    events: Sequence[Event],
    rng: random.Random,
    read: Callable[[MemoryTables], Seen],
    expected: Seen,
) -> None:
    """Rebuilt from the log in one go, and delivered in any way, a reader gets ``expected``."""
    log = log_of(events)
    rebuilt = MemoryTables()
    rebuilt.apply(view.project([record for records in log.values() for record in records]))
    assert read(rebuilt) == expected
    live = MemoryTables()
    for batch in deliveries(log, rng):
        live.apply(view.project(batch))
    assert read(live) == expected
