"""The log's records in Avro object container files, which any Avro reader reads.

Each record keeps the raw bytes that stood in the log: events of several versions of one schema cannot stand together in
one Avro union, since its branches need different names, and poison is no event at all. The schemas are in each file's
metadata (``shutterlog.schemas``, as ``schemas/lock.json`` has them), so that events can be decoded without this
project: the value's bytes after the fifth are Avro under the schema whose id is in ``schema_id``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import fastavro
from fastavro.write import Writer

from jobs.backup_manifest import BackupRefused

RECORD = fastavro.parse_schema(
    {
        "type": "record",
        "name": "LogRecord",
        "namespace": "shutterlog.backup",
        "doc": "One record of one partition of the log; topic and partition are in the file's metadata.",
        "fields": [
            {"name": "offset", "type": "long", "doc": "Where it stood, and will stand again."},
            {"name": "timestamp", "type": "long", "doc": "The broker's, in ms since 1970."},
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "value", "type": ["null", "bytes"], "doc": "As framed: a zero byte, the schema's id, Avro."},
            {
                "name": "headers",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Header",
                        "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                    },
                },
            },
            {"name": "schema_id", "type": ["null", "int"], "doc": "Of the value; null where it is no framed event."},
        ],
    }
)
CODEC = "deflate"
_BLOCK_BYTES = 256 * 1024


class Kept(NamedTuple):
    """A record as the log held it. ``timestamp`` is the broker's, in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def size(self) -> int:
        """Bytes of its parts, about."""
        return len(self.key or b"") + len(self.value or b"") + sum(len(value or b"") for _, value in self.headers)


class AvroRows:
    """Writes rows, as dictionaries, into ``file``, block by block; ``close`` writes the last block."""

    def __init__(self, file: BinaryIO, schema: Any, metadata: Mapping[str, str]) -> None:
        self._writer = Writer(file, schema, CODEC, sync_interval=_BLOCK_BYTES, metadata=dict(metadata))
        self.count = 0

    def write(self, row: dict[str, Any]) -> None:
        """Add one."""
        self._writer.write(row)
        self.count += 1

    def close(self) -> None:
        """Write what is still in memory; the file stays open."""
        self._writer.flush()


class SegmentWriter:
    """Writes records of one partition into ``file``."""

    def __init__(self, file: BinaryIO, metadata: Mapping[str, str]) -> None:
        self._rows = AvroRows(file, RECORD, metadata)
        self.size = 0
        self.first = self.last = -1

    @property
    def count(self) -> int:
        """Records so far."""
        return self._rows.count

    def write(self, record: Kept) -> None:
        """Add one record."""
        if self.first < 0:
            self.first = record.offset
        self.last = record.offset
        self.size += record.size
        self._rows.write(
            {
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": record.key,
                "value": record.value,
                "headers": [{"name": name, "value": value} for name, value in record.headers],
                "schema_id": schema_id(record.value),
            }
        )

    def close(self) -> None:
        """Write what is still in memory; the file stays open."""
        self._rows.close()


def read_segment(path: Path) -> Iterator[Kept]:
    """The records of one segment, block by block. Raises ``BackupRefused``."""
    for fields in read_avro(path):
        headers = tuple((header["name"], header["value"]) for header in fields["headers"])
        yield Kept(fields["offset"], fields["timestamp"], fields["key"], fields["value"], headers)


def read_avro(path: Path) -> Iterator[dict[str, Any]]:
    """The records of any container file, as dictionaries. Raises ``BackupRefused``."""
    try:
        with path.open("rb") as file:
            rows: Iterable[Any] = fastavro.reader(file)
            yield from rows
    except (OSError, ValueError, EOFError, KeyError, StopIteration) as error:
        raise BackupRefused(f"{path} cannot be read: {error}") from error


def schema_id(value: bytes | None) -> int | None:
    """The id in a framed value; None where there is no such frame."""
    if value is None or len(value) < 5 or value[0]:
        return None
    found = int.from_bytes(value[1:5], "big")
    return found if found < 1 << 31 else None
