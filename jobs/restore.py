"""``shutterlog restore``: a backup into an empty world, with every record at the offset and the time that it had.

What lets emitters in comes before the log: keys, the publisher's memory, and what the emitters had committed. An agent
that is started too early then finds a fence above the log's end and stops, instead of saying everything once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.backup import KEYS_FOLDER, size
from jobs.backup_keys import checked_keys, restore_keys
from jobs.backup_log import ORDER, LogSource
from jobs.backup_manifest import BackupRefused, KeysManifest, Manifest, check, partition_named, read_manifest
from jobs.backup_segments import read_segment
from jobs.provision import provision
from jobs.restore_checks import Begun, coordinated, read_begun, refuse_unfit, refuse_unless_empty, write_begun
from jobs.restore_log import LogTarget
from schemas.codec import Undecodable, decode
from sinks.cassandra import Cassandra
from sinks.generations import FIRST
from sinks.producer import failure
from sinks.publishing import PublishingMemory
from sinks.registry import adopt_ids
from sinks.rendition_uses import RenditionUses
from sinks.saga import MEMORY, SagaMemory, settle
from sinks.settings import Settings
from sinks.tables import TableSink
from sinks.topics import Topics
from streams.erasure import ERASURE, Shown
from streams.publishing import PUBLISHER
from streams.records import Record, Span, TopicPartition
from streams.saga import SAGA

_AT_ONCE = 2000
Moved = Callable[[str, int, int], None]
"""Is told the phase, how much more of it is done, and how much there is."""


@dataclass
class Report:
    """What was restored, or would be."""

    log: str = ""
    run: int = 0
    resumed: bool = False
    records: int = 0
    records_in_all: int = 0
    bytes: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def lines(self, dry_run: bool) -> Iterator[str]:
        """The report for people."""
        rows = ", ".join(f"{count:,} {table}" for table, count in self.keys.items())
        where = f"run {self.run} of backup {self.log}"
        if dry_run:
            yield f"{where} is whole, and this world can take it: {self.records_in_all:,} records, {size(self.bytes)}"
            yield f"would restore {rows}"
            return
        again = f", {self.records_in_all - self.records:,} of them before" if self.resumed else ""
        yield f"restored {where}: {self.records_in_all:,} records{again}, {size(self.bytes)}; {rows}"
        yield ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in self.seconds.items())
        yield "offsets, keys, headers and timestamps are those of before; the views are empty: start the agents"
        yield "pictures are in the object store: bring its folder or bucket back by its own means, before the agents"


def restore(
    settings: Settings, folder: Path, keys_folder: Path | None = None, *, quiet: bool = False, dry_run: bool = False
) -> Report:
    """Restore the last finished run of the backup in ``folder``; a restore that was killed goes on where it was.

    Raises ``BackupRefused`` before anything is changed where a file is damaged or the world is not empty; also
    ``StoreAway``, ``TopicsUnfit`` and ``OSError``, after which it can be repeated.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise BackupRefused(f"{folder} holds no backup")
    keys_folder = keys_folder or folder / KEYS_FOLDER
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    with progress:
        return _Restore(settings, folder, keys_folder, manifest, progress).run(dry_run)


class _Restore:
    def __init__(
        self, settings: Settings, folder: Path, keys_folder: Path, manifest: Manifest, progress: Progress
    ) -> None:
        self._settings, self._folder, self._keys_folder = settings, folder, keys_folder
        self._manifest, self._progress = manifest, progress
        self._last = manifest.last_run()
        self._clock = time.monotonic()
        segments = [one for tp in map(partition_named, self._last.ends) for one in manifest.segments_of(tp)]
        self._segments = segments
        self.report = Report(
            log=manifest.log,
            run=self._last.number,
            records_in_all=sum(one.count for one in segments),
            bytes=sum(one.bytes for one in segments),
        )

    def run(self, dry_run: bool) -> Report:
        report = self.report
        keys = self._check()
        report.keys = {table: file.count for table, file in keys.tables.items()}
        asyncio.run(adopt_ids(self._settings))
        refuse_unfit(self._settings, self._manifest)
        begun = read_begun(self._settings, self._manifest)
        report.resumed = begun is not None
        asyncio.run(refuse_unless_empty(self._settings, begun))
        self._timed("checks")
        if dry_run:
            return report
        provision(self._settings)
        ids = {topic: id for topic, id in Topics(self._settings).ids().items() if topic in ORDER}
        write_begun(self._settings, Begun(self._manifest.log, ids))
        asyncio.run(self._rows(keys, ids))
        self._timed("rows")
        self._commit()
        report.records = self._write()
        write_begun(self._settings, Begun(self._manifest.log, ids, finished=True))
        self._timed("log")
        return report

    def _check(self) -> KeysManifest:
        """Every file against its checksum."""
        keys = checked_keys(self._keys_folder, self._manifest)
        for segment in self._progress.track(self._segments, description="checksums"):
            check(self._folder, segment)
        return keys

    async def _rows(self, keys: KeysManifest, ids: dict[str, str]) -> None:
        async with await Cassandra.connect(self._settings) as cassandra:
            task = self._progress.add_task("keys", total=sum(self.report.keys.values()))
            await restore_keys(cassandra, self._keys_folder, keys, lambda count: self._progress.advance(task, count))
            # What the publisher remembers is a fold of the log up to its commit: without it, it would read, and
            # publish, everything again.
            said = self._commits(PUBLISHER.name)
            memory = PublishingMemory(cassandra)
            task = self._progress.add_task("publisher's memory", total=None)
            records = self._records(said)
            while some := list(islice(records, _AT_ONCE)):
                await memory.store(PUBLISHER.project(some))
                self._progress.advance(task, len(some))
            spans = {tp: Span(-1, last) for tp, last in said.items() if last >= 0}
            if spans:
                await TableSink(cassandra, PUBLISHER.name, FIRST, ids).apply((), spans)

            await self._remember_saga(cassandra, ids)
            await self._remember_renditions(cassandra)

    async def _remember_renditions(self, cassandra: Cassandra) -> None:
        """Who has which, of the whole backup: the agent that erases goes through it partition by partition, and must
        not take a picture for nobody's whose other file it has not come to."""
        uses = RenditionUses(cassandra)
        task = self._progress.add_task("renditions", total=None)
        ends = {tp: end - 1 for tp, end in self._manifest.positions().items() if tp.topic == "media"}
        records = self._records(ends)
        while some := list(islice(records, _AT_ONCE)):
            shown = [write for write in ERASURE.project(some) if isinstance(write, Shown)]
            await uses.add((one.media_id, one.keys) for one in shown)
            self._progress.advance(task, len(some))

    async def _remember_saga(self, cassandra: Cassandra, ids: dict[str, str]) -> None:
        """As the publisher's memory: without it the saga would say again what the log holds already."""
        said, memory = self._commits(SAGA.name), SagaMemory(cassandra)
        task = self._progress.add_task("saga's memory", total=None)
        records = self._records(said)
        while some := list(islice(records, _AT_ONCE)):
            await settle(memory, SAGA.project(some))
            self._progress.advance(task, len(some))
        spans = {tp: Span(-1, last) for tp, last in said.items() if last >= 0}
        if spans:
            await TableSink(cassandra, MEMORY, FIRST, ids).apply((), spans)

    def _records(self, said: dict[TopicPartition, int]) -> Iterator[Record]:
        """What an emitter had read: events under their own keys; poison is passed over, as agents do."""
        for tp, last in said.items():
            for segment in self._manifest.segments_of(tp):
                if segment.first > last:
                    break
                for kept in read_segment(self._folder / segment.file):
                    if kept.offset > last:
                        break
                    try:
                        event = decode(kept.value)
                    except Undecodable:
                        continue
                    if tp.topic == event.TOPIC and event.key == kept.key:
                        yield Record(tp, kept.offset, kept.timestamp, event)

    def _commits(self, group: str) -> dict[TopicPartition, int]:
        return {partition_named(name): last for name, last in self._last.commits.get(group, {}).items()}

    def _commit(self) -> None:
        """The emitters go on where they were: what is in the log already, they do not say again."""
        settings = self._settings
        for group in self._last.commits:
            if group == ERASURE.name:
                continue  # whatever the keys were, every erasure in the log is done again
            consumer = Consumer(
                {
                    **settings.kafka_client,
                    "group.id": settings.topic(group),
                    "enable.auto.commit": False,
                    "error_cb": lambda error: None,
                }
            )
            offsets = [
                KafkaPartition(settings.topic(tp.topic), tp.partition, last + 1)
                for tp, last in self._commits(group).items()
            ]
            try:
                for one in coordinated(partial(consumer.commit, offsets=offsets, asynchronous=False)) or ():
                    if one.error is not None:
                        raise failure(one.error)
            except KafkaException as error:
                raise failure(error.args[0]) from error
            finally:
                consumer.close()

    def _write(self) -> int:
        task = self._progress.add_task("log", total=self.report.records_in_all)
        written = 0
        with closing(LogSource(self._settings)) as source:
            target = LogTarget(self._settings, source, self._folder, self._manifest)
            target.keep_timestamps(True)
            try:
                for topic in reversed(ORDER):  # causes first
                    written += target.write(topic, lambda count: self._progress.advance(task, count))
            finally:
                target.keep_timestamps(False)
        self._progress.update(task, completed=self.report.records_in_all)
        return written

    def _timed(self, phase: str) -> None:
        now = time.monotonic()
        self.report.seconds[phase] = round(now - self._clock, 3)
        self._clock = now
