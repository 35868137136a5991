"""From a raw micro-batch to its effect in a sink: the whole error policy, in one place.

============================  =========================================================================
what happens                  what follows
============================  =========================================================================
a record cannot be decoded    it goes to the DLQ (awaited); the rest of the batch goes on
a view refuses a record       it goes to the DLQ, marked with the view, which is tainted by it
much poison, or only poison   ``PoisonFlood``: the agent halts, rather than emptying a topic into the DLQ
the store is away             the same call again, with jitter, holding the partition, while the epoch lasts
a fence went back             nothing was applied; the source rewinds to what the sinks hold
the log was remade            ``LogRemade`` ends the worker: an operator has to decide
anything else                 ends the worker; its supervisor starts it again, and the fences make that safe
============================  =========================================================================
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from agents.positions import RawBatch, RawRecord
from sinks.errors import FenceBehind, StoreAway
from sinks.settings import Settings
from sinks.sink import Sink
from streams.records import Record, Spans, TopicPartition
from streams.views import View

Write = TypeVar("Write")
logger = logging.getLogger(__name__)


class PoisonFlood(Exception):
    """More poison than can be an accident: something is wrong with the topic or with this build."""


class Source(Protocol):
    """What ``deliver`` needs of the side it gets batches from."""

    @property
    def epoch(self) -> int:
        """The current epoch; batches of another one are void."""

    def rewind(self, fences: Mapping[TopicPartition, int]) -> None:
        """Go on from these offsets, in a new epoch."""

    def applied(self, spans: Spans) -> None:
        """These spans are in the sink: tell the lag monitors."""


class DeadLetterBox(Protocol):
    """Where poison goes."""

    async def put(self, record: RawRecord, error: str, stack: str, view: str | None) -> None:
        """Keep ``record``, durably, before returning. ``view`` is None where nobody can decode it."""


class Gauges(Protocol):
    """What is measured of a delivery."""

    def delivered(self, records: int) -> None:
        """A batch of ``records`` is in the sink."""

    def happened(self, what: str) -> None:
        """One of: poison, refused, store_away, rewound, void."""


@dataclass
class Limits:
    """How much poison halts an agent: more than ``consecutive`` records in a row, or more than ``ratio`` of
    ``window``."""

    consecutive: int = 100
    ratio: float = 0.5
    window: int = 200
    _run: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)
    _bad: int = field(default=0, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that ``settings`` name, with nothing counted yet."""
        return cls(settings.poison_consecutive, settings.poison_ratio, settings.poison_window)

    def count(self, is_poison: bool, topic: str) -> None:
        """Count one record of ``topic``; raises ``PoisonFlood`` when there is too much poison."""
        self._run = self._run + 1 if is_poison else 0
        self._seen += 1
        self._bad += is_poison
        if self._run > self.consecutive:
            raise _flood(f"{self._run} records in a row are poison", topic, "POISON_CONSECUTIVE")
        if self._seen >= self.window:
            if self._bad > self.ratio * self._seen:
                what = f"{self._bad} of the last {self._seen} records are poison"
                raise _flood(what, topic, "POISON_RATIO or POISON_WINDOW")
            self._seen = self._bad = 0

    def count_good(self, records: int, topic: str) -> None:
        """Count ``records`` good ones in a row: as ``count`` for each of them."""
        if self._bad or self.window < 1:
            for _ in range(records):
                self.count(False, topic)
        elif records:
            self._run = 0
            self._seen = (self._seen + records) % self.window


def _flood(what: str, topic: str, settings: str) -> PoisonFlood:
    return PoisonFlood(
        f"{what}. `shutterlog dlq list --topic {topic}` says what is wrong with them; where all of them are meant to "
        f"go to the DLQ, raise {settings}"
    )


@dataclass
class Delivery(Generic[Write]):
    """Delivers batches of one view to its sink. ``pause`` waits before try ``n`` (from 1) of a call."""

    view: View[Write]
    sink: Sink[Write]
    source: Source
    dead_letters: DeadLetterBox
    gauges: Gauges
    pause: Callable[[int], Awaitable[None]]
    limits: Limits = field(default_factory=Limits)
    """How much poison; what the view refuses is counted apart, so that each count sees the records in their order."""
    refusal_limits: Limits = field(default_factory=Limits)
    waiting: bool = field(default=False, init=False)
    """A store is away, and the partition is held for it."""

    async def deliver(self, batch: RawBatch) -> bool:
        """Bring ``batch`` into the sink, or find that it is void, or rewind; whether it is in the sink."""
        records = await self._decoded(batch)
        writes = await self._projected(batch, records)
        tries = 0
        while batch.epoch == self.source.epoch:
            try:
                await self.sink.apply(writes, batch.spans)
            except StoreAway as away:
                tries += 1
                await self._wait(away, tries)
            except FenceBehind as behind:
                if batch.epoch == self.source.epoch:
                    logger.warning("%s: a fence went back; going on from %s", self.view.name, behind)
                    self.gauges.happened("rewound")
                    self.source.rewind(behind.positions)
                    await self.pause(1)
                return False
            else:
                self.waiting = False
                if batch.epoch == self.source.epoch:
                    self.source.applied(batch.spans)
                self.gauges.delivered(len(records))
                return True
        self.waiting = False
        self.gauges.happened("void")
        return False

    async def _wait(self, away: StoreAway, tries: int) -> None:
        if tries == 1:
            logger.warning("%s: holding its partitions: %s", self.view.name, away)
        self.waiting = True
        self.gauges.happened("store_away")
        await self.pause(tries)

    async def _decoded(self, batch: RawBatch) -> list[Record]:
        records, poison = batch.decoded
        good = 0
        for after, raw, why in poison:
            self.limits.count_good(after - good, raw.tp.topic)
            good = after
            self.limits.count(True, raw.tp.topic)
            self.gauges.happened("poison")
            await self._bury(batch, raw, why, "", None)
        if records:
            self.limits.count_good(len(records) - good, records[-1].tp.topic)
        return records

    async def _projected(self, batch: RawBatch, records: Sequence[Record]) -> list[Write]:
        """The writes of all records that the view takes."""
        try:
            writes = self.view.project(records)
        except Exception:  # whatever a projection raises, one record is to blame: find it
            writes = []
            for record in records:
                writes += await self._projected_alone(batch, record)
            return writes
        if records:
            self.refusal_limits.count_good(len(records), records[-1].tp.topic)
        return writes

    async def _projected_alone(self, batch: RawBatch, record: Record) -> list[Write]:
        try:
            writes = self.view.project([record])
        except Exception as refusal:
            self.refusal_limits.count(True, record.tp.topic)
            self.gauges.happened("refused")
            raw = next(raw for raw in batch.records if (raw.tp, raw.offset) == (record.tp, record.offset))
            await self._bury(batch, raw, str(refusal), traceback.format_exc(), self.view.name)
            return []
        self.refusal_limits.count(False, record.tp.topic)
        return writes

    async def _bury(self, batch: RawBatch, raw: RawRecord, error: str, stack: str, view: str | None) -> None:
        tries = 0
        while batch.epoch == self.source.epoch:
            try:
                await self.dead_letters.put(raw, error, stack, view)
            except StoreAway as away:
                tries += 1
                await self._wait(away, tries)
            else:
                logger.error("%s: %s@%d went to the DLQ: %s", view or "log", raw.tp, raw.offset, error)
                return
