"""Cassandra's part of a backup: keys, usernames, password hashes and uploads, in a folder that is kept apart.

Each run writes all rows anew and removes the files of the run before: who was erased since is in none of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro

from jobs.backup_manifest import (
    BackupRefused,
    KeptFile,
    KeysManifest,
    Manifest,
    check,
    new_file,
    read_keys_manifest,
    sha256_of,
    write_keys_manifest,
)
from jobs.backup_segments import AvroRows, read_avro
from sinks.cassandra import Cassandra
from sinks.kept_tables import KEPT, restore_kept, scan_kept
from sinks.settings import Settings

_PRIVATE = 0o600
_AVRO = {"bigint": "long", "text": "string", "blob": "bytes", "boolean": "boolean"}


async def back_up_keys(
    settings: Settings, folder: Path, log: str, run: int, moved: Callable[[int], None]
) -> KeysManifest:
    """Write all rows of all kept tables into ``folder``; ``moved`` hears how many. Raises ``StoreAway``."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    at = time.time_ns() // 1_000_000
    async with await Cassandra.connect(settings) as cassandra:
        tables = {table: await _dump(cassandra, folder, table, log, at, moved) for table in KEPT}
    manifest = KeysManifest(log=log, run=run, at=at, tables=tables)
    write_keys_manifest(folder, manifest)
    kept = {file.file for file in tables.values()}
    for path in folder.glob("*.avro"):
        if path.name not in kept:
            path.unlink()
    return manifest


def checked_keys(folder: Path, manifest: Manifest) -> KeysManifest:
    """The keys in ``folder``, every file as its manifest says. Raises ``BackupRefused``."""
    found = read_keys_manifest(folder)
    if found is None:
        raise BackupRefused(f"{folder} holds no keys: name their folder with --keys. Without them no name can be read")
    if found.log != manifest.log:
        raise BackupRefused(f"{folder} holds the keys of another backup")
    run = manifest.last_run()
    if found.run < run.number:
        raise BackupRefused(
            f"{folder} holds the keys of run {found.run}, the log is of run {run.number}: who registered in between "
            "would have no key. Fetch the newer keys"
        )
    for file in found.tables.values():
        check(folder, file)
    return found


async def restore_keys(
    cassandra: Cassandra, folder: Path, manifest: KeysManifest, moved: Callable[[int], None]
) -> dict[str, int]:
    """Write all rows into their tables; how many, by table. The same again changes nothing. Raises ``StoreAway``."""
    counts = {}
    for table, file in manifest.tables.items():
        counts[table] = await restore_kept(cassandra, table, read_avro(folder / file.file))
        moved(counts[table])
    return counts


async def _dump(
    cassandra: Cassandra, folder: Path, table: str, log: str, at: int, moved: Callable[[int], None]
) -> KeptFile:
    name = f"{table}-{at}.avro"
    with new_file(folder / name, _PRIVATE) as file:
        rows = AvroRows(file, _schema(table), {"shutterlog.backup": log, "shutterlog.table": table})
        async for page in scan_kept(cassandra, table):
            for row in page:
                rows.write(row)
            moved(len(page))
        rows.close()
    path = folder / name
    return KeptFile(file=name, count=rows.count, bytes=path.stat().st_size, sha256=sha256_of(path))


def _schema(table: str) -> Any:
    fields = [{"name": name, "type": ["null", _AVRO[kind]]} for name, kind in KEPT[table].items()]
    return fastavro.parse_schema({"type": "record", "name": table, "namespace": "shutterlog.backup", "fields": fields})
