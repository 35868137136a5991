"""The ClickHouse engine of this process (chDB): one for a folder, which it locks, asked by several threads at once."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from chdb.session import Session

from jobs.services.clickhouse_sql import READONLY, Insert, Refused

THREADS_OF_WRITERS, THREADS_OF_READERS = 4, 4
"""Queries at once, of either kind. Apart, so that long queries hold up no insert."""
QUEUE = 64
"""Queries that may wait for a thread before more are refused."""
TOO_MANY_SIMULTANEOUS_QUERIES = 202
UNKNOWN = 1002

BOTH: Mapping[str, str] = {"max_threads": "2", "max_insert_threads": "1", "max_result_bytes": "268435456"}
LIMITS: Mapping[bool, Mapping[str, str]] = {
    True: {**BOTH, "max_memory_usage": "2147483648"},
    False: {**BOTH, "max_memory_usage": "1610612736", "max_execution_time": "60"},
}
"""Settings that each query begins with, of who may write and of who may not."""
HARMLESS = re.compile(
    r"(output_format|input_format|format|date_time|max_result|max_rows|max_bytes)_\w+|result_overflow_mode|extremes"
    r"|join_use_nulls|session_timezone|aggregate_functions_null_for_empty|readonly|max_execution_time|max_block_size"
)
"""Settings that who may not write may choose. (With `readonly=2`, ClickHouse's own way to allow settings, the engine
would let them read the server's files.)"""

_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Failed(Exception):
    """A query that failed. ``code`` is ClickHouse's, ``text`` what it said."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True)
class Query:
    """One query. ``insert`` stands for its text where rows came with it, in the file ``rows``."""

    text: str
    writer: bool
    database: str = ""
    format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    insert: Insert | None = None
    rows: Path | None = None


@dataclass(frozen=True)
class Answer:
    """What a query gave: its bytes, and counts for the summary."""

    content: bytes
    rows_read: int
    bytes_read: int
    rows_written: int
    nanoseconds: int


class Engine:
    """One engine over ``folder``; ``close`` before the process ends."""

    def __init__(self, folder: Path) -> None:
        self._address = f"{folder}?max_server_memory_usage=3221225472"
        self._kept = Session(self._address)  # while one session is open, the engine is
        self._writers = ThreadPoolExecutor(THREADS_OF_WRITERS, "writer")
        self._readers = ThreadPoolExecutor(THREADS_OF_READERS, "reader")
        self._waiting = {True: 0, False: 0}
        self.folder_of_bodies = Path(tempfile.mkdtemp(prefix="bodies-", dir=folder.parent))
        asked = self._kept.query("SELECT name FROM system.table_functions WHERE NOT allow_readonly", "TabSeparated")
        self.forbidden_to_readers = frozenset({"file", *asked.bytes().decode().lower().split()})
        """Functions that reach outside the engine. `file` is one for values as well, which `readonly` lets through."""

    async def run(self, query: Query) -> Answer:
        """Raises ``Failed``."""
        if self._waiting[query.writer] >= QUEUE:
            raise Failed(TOO_MANY_SIMULTANEOUS_QUERIES, "Too many simultaneous queries. Maximum: 64")
        self._waiting[query.writer] += 1
        try:
            pool = self._writers if query.writer else self._readers
            return await asyncio.get_running_loop().run_in_executor(pool, self._run, query)
        finally:
            self._waiting[query.writer] -= 1

    def close(self) -> None:
        """Wait for what runs, and let go of the folder."""
        self._writers.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        self._kept.close()

    def _run(self, query: Query) -> Answer:
        began = time.monotonic_ns()
        session = Session(self._address)
        try:
            for statement in _prelude(query):
                session.query(statement)
            text = query.text if query.insert is None else query.insert.reading(str(query.rows))
            result = session.query(text, query.format, params=dict(query.parameters) or None)
            reads = int(result.rows_read()), int(result.bytes_read())
            written = reads[0] if query.insert is not None else 0
            content = b"" if query.insert is not None else bytes(result.bytes())
            return Answer(content, *reads, written, time.monotonic_ns() - began)
        except Refused as refused:
            raise Failed(refused.code, refused.reason) from refused
        except Exception as error:  # chDB raises errors of several classes; each begins with ClickHouse's code
            match = _CODE.search(str(error))
            raise Failed(int(match[1]) if match else UNKNOWN, str(error)) from None
        finally:
            session.close()


def _prelude(query: Query) -> list[str]:
    """The statements that make a new session the one that ``query`` asks for."""
    statements = [f"SET {name} = {value}" for name, value in LIMITS[query.writer].items()]
    for name, value in query.settings.items():
        if not _NAME.fullmatch(name):
            raise Refused(READONLY, f"{name!r} is no setting's name")
        if not query.writer and not HARMLESS.fullmatch(name):
            raise Refused(READONLY, f"Cannot modify '{name}' setting in readonly mode")
        if not query.writer and (name == "readonly" or (name == "max_execution_time" and not _is_shorter(value))):
            continue
        statements.append(f"SET {name} = {quoted(value)}")
    if query.database:
        statements.append(f"USE {quoted(query.database, '`')}")
    if not query.writer:
        statements.append("SET readonly = 1")
    return statements


def quoted(value: str, mark: str = "'") -> str:
    """``value`` as a literal of ClickHouse's, or a name's, where ``mark`` is a backtick."""
    return mark + value.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def _is_shorter(seconds: str) -> bool:
    try:
        return 0 < float(seconds) <= float(LIMITS[False]["max_execution_time"])
    except ValueError:
        return False
