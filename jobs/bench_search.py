"""``shutterlog bench search``: what a letter typed costs among a million people and the places of a file, how often a
misspelt username is found, and how fast people come into the index.

People have usernames and names of syllables, some of them far more common than others, and followers by Pareto's law.
As many as ``through`` of them go the whole way: events, rows, sealed names opened, index; the others straight into the
index. Somebody types usernames, names and names of places letter by letter, half of the time as one who follows 150
people, and each letter asks for twenty; the figure is the 99th percentile over all of these. A typo is a letter
changed, left out, put in, or two swapped; two of them in every other username of eight letters and more.

The yardstick asks SQLite's full-text index (FTS5, with prefix indexes, by the same ranks) for the same beginnings,
interleaved.
"""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import NamedTuple

from jobs.bench_scene import middle
from schemas.events import AccountRegistered
from sinks.person_keys import PersonKeys
from sinks.sealing import new_key, seal
from sinks.search import SearchSink
from sinks.search_index import PLACES, Person, Writing, folder_of, held, open_index
from sinks.search_reader import SearchReader
from sinks.settings import Settings
from streams.records import Record, Span, TopicPartition
from streams.search import SEARCH, City, level, plain, rank, typos

PEOPLE, THROUGH, PLACES_MADE = 1_000_000, 50_000, 26_000
PLACES_FILE = Path("../shared/data/text/geonames_cities15000.zip")
FOLLOWED, ASKED_FOR, FIRST = 150, 20, 5
_TYPED, _MISSPELT = 150, 400
_BATCH = 5000
_TP = TopicPartition("accounts", 0)
_SYLLABLES = re.findall("..", "kalomiraatenoshebeduvarisonapegulizafokemoanelisorumbrachodrifflegru")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Made(NamedTuple):
    """Somebody in the bench."""

    user_id: int
    username: str
    name: str
    followers: int


class KeysInMemory(PersonKeys):
    """The keys of the bench's people, so that Cassandra is no part of it."""

    def __init__(self) -> None:
        self.made: dict[int, bytes] = {}

    async def get_many(self, ids: Iterable[int]) -> dict[int, bytes]:
        """See ``PersonKeys``."""
        return {user_id: self.made[user_id] for user_id in ids}


def run(
    people: int = PEOPLE, through: int = THROUGH, typed: int = _TYPED, misspelt: int = _MISSPELT
) -> dict[str, object]:
    """Measure; needs no store but a folder. ``typed``: words that are typed; ``misspelt``: usernames."""
    with tempfile.TemporaryDirectory(prefix="shutterlog-bench-") as folder:
        return asyncio.run(_run(Path(folder), people, through, typed, misspelt))


async def _run(home: Path, people: int, through: int, typed: int, misspelt: int) -> dict[str, object]:
    chance = random.Random(6)  # noqa: S311
    settings = Settings(shutterlog_home=home, search_root=None, places_file=None, places_packaged=False)
    everybody = list(islice(crowd(chance), people))
    rates = await _through_the_sink(settings, everybody[:through])
    folder = folder_of(settings, 1)
    began = time.perf_counter()
    places = await asyncio.to_thread(_fill, folder, everybody[through:], _cities(chance))
    filled = time.perf_counter() - began
    yardstick = await asyncio.to_thread(_Fts, home / "yardstick.sqlite", everybody)
    reader = SearchReader(folder)
    ours, busy, theirs = await _type(reader, yardstick, everybody, places, chance, typed)
    found = await _misspell(reader, everybody, chance, misspelt)
    size = sum(path.stat().st_size for path in (folder / "index").iterdir())
    return {
        "name": "search",
        "figure": round(_of(ours, 0.99), 2),
        "unit": "ms, p99 of one letter typed, 20 asked for",
        "yardstick": round(_of(theirs, 0.99), 2),
        "yardstick_name": "the same beginnings in SQLite FTS5 with prefix indexes, ordered by the same ranks, ms, p99",
        "ratio": round(_of(theirs, 0.99) / _of(ours, 0.99), 2),
        "samples": len(ours),
        "p50": round(_of(ours, 0.5), 2),
        "longest": round(max(ours), 2),
        "processor_p99": round(_of(busy, 0.99), 2),
        "yardstick_p50": round(_of(theirs, 0.5), 2),
        "typo_recall_at_5": round(found[1], 3),
        "two_typos_recall_at_5": round(found[2], 3),
        "people_per_second": round(middle(rates)),
        "people_per_second_each": [round(rate) for rate in rates],
        "straight_into_the_index_per_second": round((people - through) / filled) if people > through else None,
        "people": people,
        "places": len(places),
        "bytes_a_person": round(size / people),
    }


def crowd(chance: random.Random) -> Iterator[Made]:
    """People without an end."""
    given, family = (
        ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 3))) for _ in range(n)] for n in (800, 20_000)
    )
    weights = [list(accumulate(1 / (n + 5) for n in range(len(names)))) for names in (given, family)]
    user_id = 1 << 41
    while True:
        user_id += 1 << 12
        one, other = (
            chance.choices(names, cum_weights=of)[0] for names, of in zip((given, family), weights, strict=True)
        )
        username = one + chance.choice(["", ".", "_"]) + other
        if chance.random() < 0.5:
            username += str(chance.randint(1, 9999))
        yield Made(user_id, username[:30], f"{one.title()} {other.title()}", int(chance.paretovariate(0.9)) - 1)


async def _through_the_sink(settings: Settings, people: Sequence[Made]) -> list[float]:
    """People/s of each batch, from the event on."""
    keys = KeysInMemory()
    sink = SearchSink(settings, keys, 1, dict.fromkeys(SEARCH.sources, "bench"))
    rates = []
    for start in range(0, len(people), _BATCH):
        some = people[start : start + _BATCH]
        keys.made |= {one.user_id: new_key() for one in some}
        records = [Record(_TP, start + n, 1, _registered(one, keys.made[one.user_id])) for n, one in enumerate(some)]
        began = time.perf_counter()
        await sink.apply(SEARCH.project(records), {_TP: Span(start - 1, start + len(some) - 1)})
        rates.append(len(some) / (time.perf_counter() - began))
    sink.close()
    return rates


def _registered(one: Made, key: bytes) -> AccountRegistered:
    sealed = (seal(key, one.user_id, text) for text in (one.username, one.name))
    return AccountRegistered(
        event_id=1, at=1, actor_id=one.user_id, user_id=one.user_id, username=next(sealed), name=next(sealed)
    )


def _fill(folder: Path, people: Sequence[Made], places: Iterable[City]) -> list[City]:
    """The rest, without rows; all in one commit."""
    index = open_index(folder, make=True)
    fences, writing, found = held(index), Writing(index), []
    for one in people:
        writing.person(Person(one.user_id, one.username, one.name, False, one.followers))
    for city in places:
        writing.city(city)
        found.append(city)
    writing.commit(fences)
    return found


def _cities(chance: random.Random) -> Iterator[City]:
    from sinks.search_places import cities

    if PLACES_FILE.exists():
        yield from cities(PLACES_FILE)
        return
    for n in range(PLACES_MADE):
        name = "".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))).title()
        yield City(
            n, name, (), chance.uniform(-60, 70), chance.uniform(-180, 180), "XX", int(1e4 * chance.paretovariate(1))
        )


class _Fts:
    """The yardstick."""

    def __init__(self, path: Path, people: Sequence[Made]) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE ranks (id INTEGER PRIMARY KEY, rank INTEGER);"
            "CREATE VIRTUAL TABLE names USING fts5(words, content='', detail=none, prefix='1 2 3 4');"
        )
        self._db.executemany(
            "INSERT INTO names (rowid, words) VALUES (?, ?)", ((p.user_id, f"{p.username} {p.name}") for p in people)
        )
        self._db.executemany(
            "INSERT INTO ranks VALUES (?, ?)", ((p.user_id, rank(level(p.followers), p.user_id)) for p in people)
        )
        self._db.commit()

    def find(self, query: str) -> int:
        """How many of ``ASKED_FOR`` are found."""
        words = " ".join(f'"{word}"*' for word in query.replace(".", " ").replace("_", " ").split())
        found = self._db.execute(
            "SELECT id FROM names JOIN ranks ON id = names.rowid WHERE names MATCH ? ORDER BY ranks.rank DESC LIMIT ?",
            (words, ASKED_FOR),
        )
        return len(found.fetchall()) if words else 0


async def _type(
    reader: SearchReader,
    yardstick: _Fts,
    people: Sequence[Made],
    places: Sequence[City],
    chance: random.Random,
    typed: int,
) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each letter typed, by the clock and of the processor: here, and by the clock at the yardstick,
    which knows no places."""
    ours, busy, theirs = [], [], []
    friends = [chance.choice(people).user_id for _ in range(FOLLOWED)]
    for n in range(typed):
        one = chance.choice(people)
        word = [one.username, one.name, plain(chance.choice(places).name)][n % 3]
        for end in range(1, len(word) + 1):
            query = word[:end]
            began, used = time.perf_counter(), time.process_time()
            if n % 3 == 2:
                await reader.names(PLACES, query, None, ASKED_FOR)
            else:
                await reader.people(query, friends if n % 2 else [], None, ASKED_FOR)
            busy.append(1000 * (time.process_time() - used))
            ours.append(1000 * (time.perf_counter() - began))
            if n % 3 < 2:
                began = time.perf_counter()
                await asyncio.to_thread(yardstick.find, query)
                theirs.append(1000 * (time.perf_counter() - began))
    return ours, busy, theirs


async def _misspell(
    reader: SearchReader, people: Sequence[Made], chance: random.Random, count: int
) -> dict[int, float]:
    """By the number of typos, the share of people who are among the first five."""
    tried, found = {1: 0, 2: 0}, {1: 0, 2: 0}
    for n in range(count):
        one = chance.choice(people)
        edits = 2 if n % 2 and typos(one.username) == 2 else 1
        query = one.username
        for _ in range(edits):
            query = _misspelt(query, chance)
        hits = await reader.people(query, [], None, FIRST)
        tried[edits] += 1
        found[edits] += f"u:{one.user_id}" in {hit.key for hit in hits}
    return {edits: found[edits] / max(tried[edits], 1) for edits in tried}


def _misspelt(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) - 1)
    letter = chance.choice(_LETTERS)
    return [
        text[:at] + letter + text[at + 1 :],
        text[:at] + text[at + 1 :],
        text[:at] + letter + text[at:],
        text[:at] + text[at + 1] + text[at] + text[at + 2 :],
    ][chance.randrange(4)]


def _of(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
