"""What a backup consists of: two small JSON files that name its data files, written last and replaced in one step.

``manifest.json`` in the backup's folder lists the segments of the log and the runs that made them; ``keys.json``, in a
folder that may be elsewhere, the files that come from Cassandra. What neither names does not count.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from streams.records import TopicPartition

FORMAT = 1
MANIFEST = "manifest.json"
KEYS_MANIFEST = "keys.json"


class BackupRefused(ValueError):
    """This backup cannot be made, or cannot be restored here. The message says why, and what to do."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One file of records of one partition: those from ``first`` to ``last`` that readers see, ``next`` being the
    offset that follows. ``file`` is relative to the backup's folder."""

    file: str
    topic: str
    partition: int
    first: int
    last: int
    next: int
    count: int
    bytes: int
    sha256: str

    @property
    def tp(self) -> TopicPartition:
        """The partition."""
        return TopicPartition(self.topic, self.partition)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One finished ``backup``: a cut through the log that holds the cause of everything that it holds.

    Offsets by ``topic-partition``: ``starts`` the first one held by the log, ``ends`` the one after the last.
    ``commits``, by group: the last offset for which the emitter had said everything before the ends were read. Times
    are in ms.
    """

    number: int
    at: int
    seconds: float
    starts: dict[str, int]
    ends: dict[str, int]
    commits: dict[str, dict[str, int]]


class Manifest(msgspec.Struct, kw_only=True):
    """The log's part. ``log`` is this backup's own name; ``topics`` holds Kafka's id of each topic; ``schemas`` is the
    lock (``schemas.lock.Lock.text``) under the ids that the log carries."""

    format: int = FORMAT
    log: str
    partitions: int
    topics: dict[str, str]
    schemas: str
    segments: list[Segment] = []
    runs: list[Run] = []

    @classmethod
    def new(cls, partitions: int, topics: Mapping[str, str], schemas: str) -> Manifest:
        """That of a backup which begins now."""
        return cls(log=uuid.uuid4().hex, partitions=partitions, topics=dict(topics), schemas=schemas)

    def positions(self) -> dict[TopicPartition, int]:
        """The offset up to which each partition is in this backup already."""
        found = {partition_named(name): end for name, end in self.runs[-1].ends.items()} if self.runs else {}
        for segment in self.segments:
            found[segment.tp] = max(segment.next, found.get(segment.tp, 0))
        return found

    def segments_of(self, tp: TopicPartition) -> list[Segment]:
        """The segments of one partition that belong to finished runs, in the order of offsets."""
        end = self.runs[-1].ends.get(str(tp), 0) if self.runs else 0
        return sorted((one for one in self.segments if one.tp == tp and one.first < end), key=lambda one: one.first)

    def last_run(self) -> Run:
        """The run to restore. Raises ``BackupRefused`` where none was finished."""
        if not self.runs:
            raise BackupRefused("this backup was never finished: run `shutterlog backup` to its end")
        return self.runs[-1]


class KeptFile(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one table of Cassandra."""

    file: str
    count: int
    bytes: int
    sha256: str


class KeysManifest(msgspec.Struct, frozen=True, kw_only=True):
    """Cassandra's part, as it was at the end of run number ``run``."""

    format: int = FORMAT
    log: str
    run: int
    at: int
    tables: dict[str, KeptFile]


Kind = TypeVar("Kind", Manifest, KeysManifest)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in ``folder``, or None where there is none. Raises ``BackupRefused``."""
    return _read(folder / MANIFEST, Manifest)


def read_keys_manifest(folder: Path) -> KeysManifest | None:
    """The manifest of the keys in ``folder``, or None where there is none. Raises ``BackupRefused``."""
    return _read(folder / KEYS_MANIFEST, KeysManifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in ``folder``."""
    _write(folder / MANIFEST, manifest, 0o644)


def write_keys_manifest(folder: Path, manifest: KeysManifest) -> None:
    """Replace the manifest of the keys in ``folder``."""
    _write(folder / KEYS_MANIFEST, manifest, 0o600)


def named(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    """``offsets`` by the partitions' names."""
    return {str(tp): offset for tp, offset in offsets.items()}


def partition_named(name: str) -> TopicPartition:
    """The partition of the name ``topic-partition``."""
    topic, _, partition = name.rpartition("-")
    return TopicPartition(topic, int(partition))


@contextmanager
def new_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file that gets its name ``path``, in one step, once the block has ended well and all of it is on the disk."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)  # of a run that was killed; its mode may be another
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(folder: Path, file: Segment | KeptFile) -> None:
    """Raise ``BackupRefused`` where ``file``, below ``folder``, is not what its manifest says."""
    path = folder / file.file
    try:
        size, digest = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read: {error}") from error
    if size != file.bytes or digest != file.sha256:
        raise BackupRefused(
            f"{path} is damaged: its {size} bytes have another SHA-256 than its manifest says. "
            "Nothing was restored: fetch this file from another copy of the backup"
        )


def _write(path: Path, manifest: Manifest | KeysManifest, mode: int) -> None:
    with new_file(path, mode) as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise BackupRefused(f"{path} cannot be read: {error}") from error
    if found.format != FORMAT:
        raise BackupRefused(f"{path} has format {found.format}; this build knows {FORMAT}")
    return found
