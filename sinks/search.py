"""The sink of search: rows in SQLite, and an index made of them, in one folder for each generation.

A batch goes into the rows first, in one transaction with its fences and the names of the documents that it changes;
then these documents are written whole, and the index's commit holds the same fences. Cut off in between, the rows know
what the index lacks. So the fences of both are those of the rows, once the index was brought up to them.

Whoever applies holds a lock on the folder for that long, and reads the fences under it: several workers, or a replay
and the agents after it, take turns. All of them are on one machine, or see one folder whose locks work.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tantivy import Index

from sinks.errors import FenceBehind, LogRemade, StoreAway
from sinks.person_keys import PersonKeys
from sinks.sealing import opened
from sinks.search_index import FOLDER, Person, Writing, folder_of, held, open_index
from sinks.search_places import Places
from sinks.search_rows import FILE, Held, PersonRow, PostRow, SearchRows
from sinks.settings import Settings
from streams.records import Spans, TopicPartition
from streams.search import plain
from streams.views import Delete, Upsert

LOCK_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_AT_ONCE = 2000
_PURGE, _PLACES, _INDEXED = "purge", "places", "indexed"
"""Notes: since when somebody is erased whose name is still in files; which places are in the index; what offsets the
index's last known commit held."""


class _Opened(NamedTuple):
    rows: SearchRows
    tantivy: Index
    inodes: tuple[int, int]


class SearchSink:
    """Applies writes to one generation. One task at a time."""

    def __init__(
        self,
        settings: Settings,
        keys: PersonKeys,
        generation: int,
        topic_ids: Mapping[str, str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``topic_ids`` names the incarnation of each source topic."""
        self._keys, self._generation, self._topic_ids, self._now = keys, generation, topic_ids, now
        self._folder = folder_of(settings, generation)
        self._places = Places.of(settings)
        self._fingerprinted: str | None = None
        self._purge_seconds = settings.search_purge_seconds
        self._opened: _Opened | None = None
        self._known: Held = {}
        self._city_names: frozenset[str] | None = None

    def close(self) -> None:
        """Let go of the files."""
        if self._opened is not None:
            self._opened.rows.close()
            self._opened = None

    async def fences(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``Sink.fences``."""
        found = await asyncio.to_thread(stored_fences, self._folder)
        return self._checked(found, partitions)

    async def apply(self, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        """See ``Sink.apply``."""
        if not writes and self._is_idle(spans):
            return
        for write in writes:
            if isinstance(write, Upsert) and write.columns.get("erased"):
                self._keys.forget(write.key["user_id"])
        with _failing():
            async with _Locked(self._folder):
                opened = await asyncio.to_thread(self._open)
                await self._heal(opened)
                stored = self._checked(opened.rows.fences(), spans)
                if any(stored[tp] < span.prior for tp, span in spans.items()):
                    raise FenceBehind(stored)
                await asyncio.to_thread(self._land, opened, writes, spans)
                await self._index(opened, rewrite=False)
                self._known = opened.rows.fences()

    # -- in the lock --------------------------------------------------------------------------------------------------

    def _open(self) -> _Opened:
        """The files of this generation as they are now: made where they are not, opened again where they were
        replaced."""
        if self._opened is not None and _inodes(self._folder) == self._opened.inodes:
            return self._opened
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        rows = SearchRows(self._folder)
        try:
            index = open_index(self._folder, make=True)
        except ValueError:
            # Cut off while it was made, or of a build whose fields were others: the rows have it all.
            shutil.rmtree(self._folder / FOLDER, ignore_errors=True)
            index = open_index(self._folder, make=True)
        self._opened = _Opened(rows, index, _inodes(self._folder))
        return self._opened

    async def _heal(self, opened: _Opened) -> None:
        """Bring the index to where the rows are, whatever it lost; and write it anew where that is due."""
        rows = opened.rows
        now, there = rows.fences(), await asyncio.to_thread(held, opened.tantivy)
        rewrite = self._is_purge_due(rows) or (rows.note(_PLACES) or "") != self._fingerprint()
        if there != now and _said(there) != rows.note(_INDEXED):
            rewrite = True  # one of both is not what was left: what is stale does not say all that is wrong
        if rewrite or there != now:
            await self._index(opened, rewrite=rewrite)

    def _is_purge_due(self, rows: SearchRows) -> bool:
        since = rows.note(_PURGE)
        return since is not None and self._now() >= float(since) + self._purge_seconds

    def _land(self, opened: _Opened, writes: Sequence[Upsert | Delete], spans: Spans) -> None:
        opened.rows.apply(writes, spans, self._topic_ids)
        erased = any(isinstance(write, Upsert) and write.columns.get("erased") for write in writes)
        if erased and opened.rows.note(_PURGE) is None:
            opened.rows.noted(_PURGE, str(self._now()))

    async def _index(self, opened: _Opened, *, rewrite: bool) -> None:
        """What is stale, and the rows' fences, in one commit. To ``rewrite`` leaves no file of before."""
        rows = opened.rows
        if rewrite:
            await asyncio.to_thread(rows.all_stale)
        stale, fences = await asyncio.to_thread(lambda: (rows.stale(), rows.fences()))
        with await asyncio.to_thread(Writing, opened.tantivy) as writing:
            if rewrite:
                await asyncio.to_thread(self._clear, writing)
            for start in range(0, len(stale), _AT_ONCE):
                await self._documents(rows, writing, stale[start : start + _AT_ONCE], rewrite)
            await asyncio.to_thread(writing.commit, fences)
        await asyncio.to_thread(self._noted, rows, stale, fences, rewrite)

    def _clear(self, writing: Writing) -> None:
        writing.clear()
        names = set()
        for city in self._places.cities():
            writing.city(city)
            names.add(plain(city.name))
        self._city_names = frozenset(names)

    def _noted(self, rows: SearchRows, stale: Sequence[str], fences: Held, rewrite: bool) -> None:
        rows.noted(_INDEXED, _said(fences))
        if rewrite:
            rows.noted(_PURGE, None)
            rows.noted(_PLACES, self._fingerprint())
        rows.fresh(stale)

    async def _documents(self, rows: SearchRows, writing: Writing, stale: Sequence[str], rewrite: bool) -> None:
        if not rewrite:
            writing.remove(stale)
        people = await asyncio.to_thread(lambda: list(rows.people(_ids(stale, "u:"))))
        posts = await asyncio.to_thread(lambda: list(rows.posts(_ids(stale, "p:"))))
        keys = await self._keys.get_many({row.user_id for row in people} | {row.author_id for row in posts})
        await asyncio.to_thread(self._write, rows, writing, people, posts, keys, stale)

    def _write(
        self,
        rows: SearchRows,
        writing: Writing,
        people: Sequence[PersonRow],
        posts: Sequence[PostRow],
        keys: Mapping[int, bytes],
        stale: Sequence[str],
    ) -> None:
        for person in people:
            if username := opened(keys, person.user_id, person.username):
                name = opened(keys, person.user_id, person.name)
                writing.person(Person(person.user_id, username, name, person.verified, person.followers))
        for post in posts:
            if caption := opened(keys, post.author_id, post.caption):
                writing.post(post.post_id, post.author_id, caption)
        of_cities = self._names_of_cities()
        for row in rows.names([document for document in stale if document[:2] in ("t:", "l:")]):
            writing.name(row, found=row.name[0] == "t" or plain(row.name[2:]) not in of_cities)

    # -- what is known ------------------------------------------------------------------------------------------------

    def _is_idle(self, spans: Spans) -> bool:
        """Whether an empty call has nothing to do: the files are those that were left, and hold all that is said."""
        if self._opened is None or _inodes(self._folder) != self._opened.inodes:
            return False
        if self._is_purge_due(self._opened.rows):
            return False
        return all(span.last <= self._known.get(tp, (-1, ""))[0] for tp, span in spans.items())

    def _checked(self, found: Held, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        for tp in partitions:
            topic_id = found.get(tp, (-1, self._topic_ids[tp.topic]))[1]
            if topic_id != self._topic_ids[tp.topic]:
                raise LogRemade(
                    f"generation {self._generation} of the view search was built from topic {tp.topic} when its id was "
                    f"{topic_id}; now the id is {self._topic_ids[tp.topic]}, so the topic was deleted and made again. "
                    "Bring the log back, or build a new generation with `shutterlog replay search`"
                )
        return {tp: found.get(tp, (-1, ""))[0] for tp in partitions}

    def _fingerprint(self) -> str:
        if self._fingerprinted is None:  # another file counts once the agent is started anew
            self._fingerprinted = self._places.fingerprint()
        return self._fingerprinted

    def _names_of_cities(self) -> frozenset[str]:
        if self._city_names is None:
            self._city_names = frozenset(plain(city.name) for city in self._places.cities())
        return self._city_names


def stored_fences(folder: Path) -> Held:
    """Up to where both the rows and the index in ``folder`` hold the log; nothing where there are none. Raises
    ``StoreAway``."""
    if not (folder / FILE).exists():
        return {}
    with _failing():
        rows = SearchRows(folder, read_only=True)
        try:
            in_rows = rows.fences()
        finally:
            rows.close()
        try:
            in_index = held(open_index(folder))
        except ValueError:
            return {}
    nothing = (-1, "")
    return {tp: min(fence, (in_index.get(tp, nothing)[0], fence[1])) for tp, fence in in_rows.items()}


def disk_bytes(folder: Path) -> int:
    """Of one generation; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def drop(folder: Path) -> bool:
    """Remove a generation; whether there was one."""
    there = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    return there


class _Locked:
    """Whoever writes a generation is alone. Raises ``StoreAway`` where somebody else is for long."""

    def __init__(self, folder: Path) -> None:
        self._path = folder.with_name(f"{folder.name}.lock")
        self._file = -1

    async def __aenter__(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > deadline:
                    os.close(self._file)
                    raise StoreAway(f"somebody else is writing the search index {self._path.stem}") from None
            await asyncio.sleep(_LOOK_SECONDS)

    async def __aexit__(self, *failure: object) -> None:
        os.close(self._file)  # and with it the lock


@contextmanager
def _failing() -> Iterator[None]:
    """Failures of files, which time can heal (a full disk, somebody else's lock), as ``StoreAway``."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreAway(f"the search index: {error}") from error
    except ValueError as error:
        if "Lock" in str(error):
            raise StoreAway("the search index is being written by somebody else") from error
        raise


def _inodes(folder: Path) -> tuple[int, int]:
    found = [-1, -1]
    for n, path in enumerate((folder / FILE, folder / FOLDER)):
        with suppress(OSError):
            found[n] = path.stat().st_ino
    return found[0], found[1]


def _said(fences: Held) -> str:
    return json.dumps(sorted((*tp, *fence) for tp, fence in fences.items()))


def _ids(documents: Sequence[str], of: str) -> list[int]:
    return [int(document[2:]) for document in documents if document.startswith(of)]
