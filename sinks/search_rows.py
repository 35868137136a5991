"""The rows that the search index is made of, in a SQLite file beside it: what a document says comes from several
events, and an index can only replace documents whole.

A transaction holds what a batch changes, its fences, and what has to be written into the index anew (``stale``), until
the index has it. Names and captions are as they are in the log: sealed.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from streams.records import Spans, TopicPartition
from streams.search import level
from streams.views import Delete, Upsert

FILE = "rows.sqlite"
AUTHORS = 8
"""Of a hashtag or place: those who used it last, by whom readers' rules decide whether to show it."""
_BUSY_SECONDS = 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS people (user_id INTEGER PRIMARY KEY, username BLOB, name BLOB, verified INTEGER,
    deactivated INTEGER, erased INTEGER, private INTEGER, followers INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS followers (followee_id INTEGER, follower_id INTEGER,
    PRIMARY KEY (followee_id, follower_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS posts (post_id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL, caption BLOB, hashtags TEXT,
    place TEXT, published INTEGER, deleted INTEGER);
CREATE INDEX IF NOT EXISTS posts_of ON posts (author_id);
CREATE TABLE IF NOT EXISTS named (name TEXT, post_id INTEGER, author_id INTEGER NOT NULL,
    PRIMARY KEY (name, post_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS named_by ON named (post_id);
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY, posts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fences (topic TEXT, part INTEGER, topic_id TEXT NOT NULL, applied INTEGER NOT NULL,
    PRIMARY KEY (topic, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale (document TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (note TEXT PRIMARY KEY, said TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = {"people": "user_id", "posts": "post_id"}
_STANDING = frozenset({"deactivated", "erased", "private"})
_MANY = 500


class PersonRow(NamedTuple):
    """A person who can be found. Sealed bytes; None for what no event has said."""

    user_id: int
    username: bytes | None
    name: bytes | None
    verified: bool
    followers: int


class PostRow(NamedTuple):
    """A post that can be found by its caption, which is sealed."""

    post_id: int
    author_id: int
    caption: bytes | None


class NameRow(NamedTuple):
    """A hashtag or place, as ``streams.trending.name_of`` names it: public posts with it, and some of their authors,
    those of the newest first."""

    name: str
    posts: int
    authors: list[int]


Held = dict[TopicPartition, tuple[int, str]]
"""Offset and topic id."""


class SearchRows:
    """One connection to the rows of one generation. Blocks; of one thread at a time. Raises ``sqlite3.Error``."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        """``folder`` exists. Read only, the file has to be there."""
        path = folder / FILE
        address = f"{path.absolute().as_uri()}?mode=ro" if read_only else path.absolute().as_uri()
        self._db = sqlite3.connect(
            address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        if not read_only:
            # What a lost machine takes from the end comes from the log again: the fences go back with the rows.
            self._db.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON; {_TABLES}"
            )

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def fences(self) -> Held:
        """Up to where the rows hold the log; nothing while their tables are only being made."""
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'fences'").fetchone():
            return {}
        rows = self._db.execute("SELECT topic, part, applied, topic_id FROM fences")
        return {TopicPartition(topic, part): (applied, topic_id) for topic, part, applied, topic_id in rows}

    def apply(self, writes: Iterable[Upsert | Delete], spans: Spans, topic_ids: Mapping[str, str]) -> None:
        """What of ``writes`` is above the fences, and the fences, in one transaction."""
        held = self.fences()
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._apply([write for write in writes if write.mark.offset > held.get(write.mark.tp, (-1, ""))[0]])
            moved = [
                (tp.topic, tp.partition, topic_ids[tp.topic], span.last)
                for tp, span in spans.items()
                if span.last > held.get(tp, (-1, ""))[0]
            ]
            self._db.executemany("INSERT OR REPLACE INTO fences VALUES (?, ?, ?, ?)", moved)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def stale(self) -> list[str]:
        """The documents that the index has to be given anew: ``u:`` or ``p:`` and an id, ``t:`` or ``l:`` and a
        name."""
        return [document for (document,) in self._db.execute("SELECT document FROM stale")]

    def fresh(self, documents: Collection[str]) -> None:
        """The index has these."""
        self._db.executemany("DELETE FROM stale WHERE document = ?", [(document,) for document in documents])

    def all_stale(self) -> None:
        """The index has nothing any more, or has to be written anew."""
        self._db.executescript(
            "BEGIN IMMEDIATE; INSERT OR IGNORE INTO stale SELECT 'u:' || user_id FROM people; "
            "INSERT OR IGNORE INTO stale SELECT 'p:' || post_id FROM posts; "
            "INSERT OR IGNORE INTO stale SELECT name FROM names; COMMIT;"
        )

    def note(self, note: str) -> str | None:
        """What was noted under this name."""
        row = self._db.execute("SELECT said FROM notes WHERE note = ?", (note,)).fetchone()
        return None if row is None else str(row[0])

    def noted(self, note: str, said: str | None) -> None:
        """Note it, or forget the note."""
        if said is None:
            self._db.execute("DELETE FROM notes WHERE note = ?", (note,))
        else:
            self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (note, said))

    # -- what documents say -------------------------------------------------------------------------------------------

    def people(self, ids: Collection[int]) -> Iterator[PersonRow]:
        """Those of ``ids`` who can be found."""
        query = "SELECT user_id, username, name, verified, followers FROM people WHERE username IS NOT NULL"
        query += " AND deactivated IS NOT 1 AND erased IS NOT 1 AND user_id IN"
        for row in self._some(query, ids):
            user_id, username, name, verified, followers = row
            yield PersonRow(user_id, username, name, bool(verified), followers)

    def posts(self, ids: Collection[int]) -> Iterator[PostRow]:
        """Those of ``ids`` that can be found: published, not deleted, of somebody who is not gone. Whether their author
        is private is asked when they are read."""
        query = "SELECT post_id, author_id, caption FROM posts LEFT JOIN people ON user_id = author_id WHERE published"
        query += " AND deleted IS NOT 1 AND deactivated IS NOT 1 AND erased IS NOT 1 AND post_id IN"
        for row in self._some(query, ids):
            yield PostRow(*row)

    def names(self, names: Collection[str]) -> Iterator[NameRow]:
        """Those of ``names`` of which there are public posts."""
        for name, posts in self._some("SELECT name, posts FROM names WHERE name IN", names):
            newest = self._db.execute(
                "SELECT author_id FROM named WHERE name = ? ORDER BY post_id DESC LIMIT ?", (name, 8 * AUTHORS)
            )
            authors = list(dict.fromkeys(author for (author,) in newest))[:AUTHORS]
            yield NameRow(name, posts, authors)

    def followed_by(self, user_ids: Collection[int], followers: Collection[int]) -> dict[int, int]:
        """How many of ``followers`` follow each of ``user_ids``."""
        found: dict[int, int] = {}
        marks = ",".join("?" * len(followers))
        for user_id in user_ids:
            query = f"SELECT count(*) FROM followers WHERE followee_id = ? AND follower_id IN ({marks})"  # noqa: S608
            found[user_id] = self._db.execute(query, (user_id, *followers)).fetchone()[0]
        return found

    def _some(self, query: str, keys: Collection[Any]) -> Iterator[tuple[Any, ...]]:
        every = list(keys)
        for start in range(0, len(every), _MANY):
            some = every[start : start + _MANY]
            yield from self._db.execute(f"{query} ({','.join('?' * len(some))})", some).fetchall()

    # -- a batch ------------------------------------------------------------------------------------------------------

    def _apply(self, writes: Sequence[Upsert | Delete]) -> None:
        stale: set[str] = set()
        posts: set[int] = set()
        for write in writes:
            if write.table == "followers":
                self._pair(write, stale)
                continue
            key = _COLUMNS[write.table]
            columns = write.columns if isinstance(write, Upsert) else {}
            self._upsert(write.table, key, write.key[key], columns)
            if write.table == "posts":
                posts.add(write.key[key])
            else:
                stale.add(f"u:{write.key[key]}")
                if _STANDING & columns.keys():
                    own = self._db.execute("SELECT post_id FROM posts WHERE author_id = ?", (write.key[key],))
                    posts.update(post_id for (post_id,) in own)
        for post_id in posts:
            stale.add(f"p:{post_id}")
            self._settle(post_id, stale)
        self._db.executemany("INSERT OR IGNORE INTO stale VALUES (?)", [(document,) for document in stale])

    def _upsert(self, table: str, key: str, number: int, columns: Mapping[str, Any]) -> None:
        names = [key, *columns]
        values = [number, *(json.dumps(value) if isinstance(value, list) else value for value in columns.values())]
        sets = ", ".join(f"{name} = excluded.{name}" for name in columns)
        self._db.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "  # noqa: S608
            f"ON CONFLICT ({key}) DO UPDATE SET {sets}",
            values,
        )

    def _pair(self, write: Upsert | Delete, stale: set[str]) -> None:
        """One follow more or less, where it is: said twice, it counts once. The document only speaks of the level."""
        followee = write.key["followee_id"]
        pair = (followee, write.key["follower_id"])
        if isinstance(write, Upsert):
            done, step = self._db.execute("INSERT OR IGNORE INTO followers VALUES (?, ?)", pair), 1
        else:
            done, step = self._db.execute("DELETE FROM followers WHERE followee_id = ? AND follower_id = ?", pair), -1
        if not done.rowcount:
            return
        row = self._db.execute(
            "INSERT INTO people (user_id, followers) VALUES (?, ?) "
            "ON CONFLICT (user_id) DO UPDATE SET followers = followers + ? RETURNING followers",
            (followee, step, step),
        ).fetchone()
        if level(row[0]) != level(row[0] - step):
            stale.add(f"u:{followee}")

    def _settle(self, post_id: int, stale: set[str]) -> None:
        """Under which names a post stands: none, unless anybody may see it."""
        author_id, hashtags, place, public = self._db.execute(
            "SELECT author_id, hashtags, place, published IS 1 AND deleted IS NOT 1 AND deactivated IS NOT 1 "
            "AND erased IS NOT 1 AND private IS NOT 1 FROM posts LEFT JOIN people ON user_id = author_id "
            "WHERE post_id = ?",
            (post_id,),
        ).fetchone()
        wanted = {f"t:{tag}" for tag in json.loads(hashtags or "[]")} | ({f"l:{place}"} if place else set())
        wanted = wanted if public else set()
        had = {name for (name,) in self._db.execute("SELECT name FROM named WHERE post_id = ?", (post_id,))}
        for name in wanted - had:
            self._db.execute("INSERT INTO named VALUES (?, ?, ?)", (name, post_id, author_id))
            self._db.execute(
                "INSERT INTO names VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET posts = posts + 1", (name,)
            )
        for name in had - wanted:
            self._db.execute("DELETE FROM named WHERE name = ? AND post_id = ?", (name, post_id))
            self._db.execute("UPDATE names SET posts = posts - 1 WHERE name = ?", (name,))
            self._db.execute("DELETE FROM names WHERE name = ? AND posts = 0", (name,))
        stale |= wanted ^ had
