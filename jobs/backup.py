"""``shutterlog backup``: the log and what Cassandra alone holds, into files; again into the same folder, what is new.

A run first reads what the emitters have committed, then the log's ends, effects before causes, then the records up to
there, and last the rows of Cassandra, which are written before the events that need them. So a finished run holds
everything that it refers to, whatever is written meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.backup_keys import back_up_keys
from jobs.backup_log import LogSource
from jobs.backup_manifest import (
    BackupRefused,
    Manifest,
    Run,
    Segment,
    named,
    new_file,
    read_keys_manifest,
    read_manifest,
    sha256_of,
    write_manifest,
)
from jobs.backup_segments import Kept, SegmentWriter
from jobs.emitters import EMITTERS
from jobs.verify_log import committed
from schemas import codec
from sinks.kept_tables import LEFT_OUT
from sinks.registry import adopt_ids
from sinks.settings import Settings
from sinks.topics import DLQ_SUFFIX, Topics
from streams.records import TopicPartition

KEYS_FOLDER = "keys"
SEGMENT_RECORDS = 100_000
SEGMENT_BYTES = 64 * 1024 * 1024
"""Of keys, values and headers, before compression. Memory holds a block of a segment; this bounds what a kill costs."""
_SAVE_SECONDS = 1.0


@dataclass
class Report:
    """What a run did, or would do. ``bytes`` and ``seconds`` are of this run, the totals of the whole backup."""

    folder: Path
    keys_folder: Path
    log: str = ""
    run: int = 0
    records: int = 0
    segments: int = 0
    bytes: int = 0
    records_in_all: int = 0
    bytes_in_all: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    deleted_before: dict[str, int] = field(default_factory=dict)
    """By partition, records that the log had lost before any run came to them."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__ if not name.endswith("folder")}} | {
            "folder": str(self.folder),
            "keys_folder": str(self.keys_folder),
            "left_out": ["object store", "views", *LEFT_OUT],
        }

    def lines(self, dry_run: bool) -> Iterator[str]:
        """The report for people."""
        if dry_run:
            yield f"would add {self.records:,} records to {self.folder}, and write the keys into {self.keys_folder}"
            return
        yield (
            f"run {self.run}: {self.records:,} records in {self.segments:,} segments, {size(self.bytes)}, "
            f"in {self.seconds:.1f} s"
        )
        yield f"{self.folder} holds {self.records_in_all:,} records in all, {size(self.bytes_in_all)}"
        for name, count in self.deleted_before.items():
            yield f"{name}: {count:,} offsets were deleted from the log before any backup came to them"
        yield f"{self.keys_folder} holds " + ", ".join(f"{count:,} {table}" for table, count in self.keys.items())
        yield (
            f"KEEP {self.keys_folder} APART FROM THE LOG: it holds the keys that open sealed fields, usernames and "
            "password hashes. Only where no older copy of it is kept does erasing a person reach the backups too."
        )
        yield f"left out: views (rebuilt); {'; '.join(f'{table} ({why})' for table, why in LEFT_OUT.items())}"
        yield "pictures are in the object store, which is backed up by its own means"


def size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1024 / 1024:,.1f} MiB"


def backup(
    settings: Settings, folder: Path, keys_folder: Path | None = None, *, quiet: bool = False, dry_run: bool = False
) -> Report:
    """Bring the backup in ``folder`` up to date, making it where there is none.

    Raises ``BackupRefused``, ``StoreAway``, ``TopicMissing`` and ``OSError``; then the run can be repeated, and goes on
    after the segments that are finished.
    """
    report = Report(folder, keys_folder or folder / KEYS_FOLDER)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
    )
    asyncio.run(adopt_ids(settings))
    if dry_run:
        with closing(LogSource(settings)) as source:
            run = _Run(settings, source, report, _manifest(settings, folder))
            report.records = sum(end - start for start, end in run.missing().values())
            return report
    folder.mkdir(parents=True, exist_ok=True)
    with progress, _alone(folder), closing(LogSource(settings)) as source:
        _Run(settings, source, report, _manifest(settings, folder)).run(progress)
    return report


class _Run:
    def __init__(self, settings: Settings, source: LogSource, report: Report, manifest: Manifest) -> None:
        self._settings, self._source, self._report, self._manifest = settings, source, report, manifest
        self._began, self._at = time.monotonic(), time.time_ns() // 1_000_000
        keys = read_keys_manifest(report.keys_folder)
        if keys is not None and keys.log != manifest.log:
            raise BackupRefused(f"{report.keys_folder} holds the keys of another backup: choose another folder")
        # Committed first: an emitter has said everything up to there before the ends are read.
        self._commits = {group: committed(settings, group, topics) for group, topics in EMITTERS.items()}
        self._ends = source.ends()
        self._starts = {tp: min(start, self._ends[tp]) for tp, start in source.starts().items()}
        self._saved = self._began

    def missing(self) -> dict[TopicPartition, tuple[int, int]]:
        """(from, to) of each partition that has more than the backup."""
        positions, found = self._manifest.positions(), {}
        for tp, end in self._ends.items():
            at = positions.get(tp, 0)
            if end < at:
                raise BackupRefused(
                    f"{tp} ends at offset {end}, but this backup goes up to {at}: the log was cut. Restore it, or "
                    "begin a backup in another folder"
                )
            start = self._starts[tp]
            if start > at and not tp.topic.endswith(DLQ_SUFFIX):
                self._report.deleted_before[str(tp)] = start - at
            if max(at, start) < end:
                found[tp] = (max(at, start), end)
        return found

    def run(self, progress: Progress) -> None:
        missing = self.missing()
        task = progress.add_task("log", total=sum(end - start for start, end in missing.values()))
        for tp, (start, end) in missing.items():
            with closing(self._source.read(tp, start, end)) as records:
                for count in self._copy(tp, records, end):
                    progress.advance(task, count)
        progress.update(task, completed=sum(end - start for start, end in missing.values()))
        write_manifest(self._report.folder, self._manifest)
        number = len(self._manifest.runs) + 1
        rows = progress.add_task("keys", total=None)
        keys = asyncio.run(
            back_up_keys(
                self._settings,
                self._report.keys_folder,
                self._manifest.log,
                number,
                lambda count: progress.advance(rows, count),
            )
        )
        commits = {
            group: named({tp: min(last, self._ends[tp] - 1) for tp, last in offsets.items()})
            for group, offsets in self._commits.items()
        }
        seconds = round(time.monotonic() - self._began, 3)
        self._manifest.runs.append(
            Run(
                number=number,
                at=self._at,
                seconds=seconds,
                starts=named(self._starts),
                ends=named(self._ends),
                commits=commits,
            )
        )
        write_manifest(self._report.folder, self._manifest)
        report = self._report
        report.log, report.run, report.seconds = self._manifest.log, number, seconds
        report.keys = {table: file.count for table, file in keys.tables.items()}
        report.records_in_all = sum(one.count for one in self._manifest.segments)
        report.bytes_in_all = sum(one.bytes for one in self._manifest.segments)

    def _copy(self, tp: TopicPartition, records: Iterator[Kept], end: int) -> Iterator[int]:
        """Write ``records`` of one partition into segments; yields the count of each."""
        first = next(records, None)
        while first is not None:
            segment, following = self._segment(tp, first, records, end)
            self._manifest.segments.append(segment)
            self._report.records += segment.count
            self._report.segments += 1
            self._report.bytes += segment.bytes
            self._save()
            yield segment.count
            first = following

    def _segment(
        self, tp: TopicPartition, first: Kept, records: Iterator[Kept], end: int
    ) -> tuple[Segment, Kept | None]:
        """One segment that begins with ``first``, and the record after it."""
        name = f"log/{tp.topic}/{tp.partition:05}/{first.offset:020}.avro"
        path = self._report.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {
            "shutterlog.backup": self._manifest.log,
            "shutterlog.topic": tp.topic,
            "shutterlog.partition": str(tp.partition),
            "shutterlog.schemas": self._manifest.schemas,
        }
        following: Kept | None = first
        with new_file(path) as file:
            writer = SegmentWriter(file, metadata)
            while following is not None and writer.count < SEGMENT_RECORDS and writer.size < SEGMENT_BYTES:
                writer.write(following)
                following = next(records, None)
            writer.close()
        segment = Segment(
            file=name,
            topic=tp.topic,
            partition=tp.partition,
            first=writer.first,
            last=writer.last,
            next=end if following is None else following.offset,
            count=writer.count,
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )
        return segment, following

    def _save(self) -> None:
        """Name what is finished, now and then; a file that is not named is written again after a kill."""
        if time.monotonic() - self._saved > _SAVE_SECONDS:
            self._saved = time.monotonic()
            write_manifest(self._report.folder, self._manifest)


def _manifest(settings: Settings, folder: Path) -> Manifest:
    """The backup's manifest, or a new one. Raises ``BackupRefused`` where the folder belongs to another log."""
    ids = {name: id for name, id in Topics(settings).ids().items() if name != "generations"}
    schemas = json.dumps(json.loads(codec.current().lock.text()))
    known = read_manifest(folder)
    if known is None:
        if folder.exists() and any(not _ours(path) for path in folder.iterdir()):
            raise BackupRefused(f"{folder} holds other things and no backup: choose a folder of its own")
        return Manifest.new(settings.partitions, ids, schemas)
    if known.partitions != settings.partitions:
        raise BackupRefused(
            f"{folder} holds a log of {known.partitions} partitions; PARTITIONS is {settings.partitions}"
        )
    others = _differing(known.topics, ids)
    if others:
        raise BackupRefused(
            f"{folder} holds the backup of another log: {'; '.join(others)}. A log that was restored or made again "
            "needs a folder of its own"
        )
    known.topics.update(ids)
    known.schemas = schemas
    return known


def _differing(known: Mapping[str, str], ids: Mapping[str, str]) -> list[str]:
    others = [name for name in known if ids.get(name) != known[name]]
    shown = [f"{name} had the id {known[name]}, now {ids.get(name, 'none')}" for name in others[:2]]
    return [*shown, f"and {len(others) - 2} more"] if len(others) > 2 else shown


def _ours(path: Path) -> bool:
    return path.name in ("lock", "log", KEYS_FOLDER) or path.name.startswith(".")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(f"another backup into {folder} is under way") from None
        yield
