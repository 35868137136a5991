"""People are erased, and nobody finds a byte of what they wrote or showed: in no view, table, index, folder or log.

5 of 60 in the suite. More:

    pytest tests/e2e -k erasure --people 10000    # a hundredth of them is erased, and every view is replayed
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition
from tantivy import Query

from api.app import create_app
from jobs.accounts import erase, erased
from jobs.provision import provision
from jobs.replay import replay
from jobs.replay_report import Wishes as ReplayWishes
from jobs.simulate import Wishes, simulate
from jobs.verify import SOURCES, verify
from jobs.world import Plan
from schemas.codec import decode
from schemas.events import Event, Followed
from sinks.cassandra import Cassandra
from sinks.clickhouse import ClickHouse
from sinks.generations import FIRST
from sinks.object_store import ObjectStore
from sinks.person_keys import PersonKeys
from sinks.redis import connect
from sinks.sealing import Unreadable, unseal
from sinks.search_index import FOLDER as INDEX
from sinks.search_index import PEOPLE, SCHEMA, folder_of, open_index
from sinks.settings import Settings
from sinks.topics import Topics
from tests.agents.workers import until, worker_processes
from tests.e2e.conftest import GROUPS, SLOW, URL, Person, Product, forget, settings_of_a_world
from tests.e2e.test_photo_to_feed import snapshot
from tests.patience import go_on
from tests.services import empty_redis

SHORT = 60
"""People in the suite."""
REPLAYED = ("accounts", "posts")
"""Views that are replayed in the suite."""
WORDS = "Hortensia in the rain"
TERMS = ("whole", PEOPLE, "caption")
PASSED_OVER = ("replay_poison", "view_leases")


async def test_nobody_finds_a_byte_of_the_erased(
    kafka_bootstrap: str,
    redis_url: str,
    cassandra_hosts: str,
    clickhouse_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> None:
    people = pytestconfig.getoption("people") or SHORT
    home = tmp_path_factory.mktemp("home")
    with empty_redis(redis_url) as own_redis_url, worker_processes(home) as workers:
        limits: dict[str, Any] = {"feed_cap": 50, "consistency_wait_seconds": 20, "clickhouse_url": clickhouse_url}
        limits["search_purge_seconds"] = 0
        if people > SHORT:  # nobody starts a worker anew that its group gave up while it had much to do
            limits["session_timeout_ms"] = 30_000
        settings = settings_of_a_world(kafka_bootstrap, own_redis_url, cassandra_hosts, home, **limits)
        await asyncio.to_thread(provision, settings)
        worker = workers.start(settings, *GROUPS, "stories", "story_views", "story_tray", "facts", "search")
        await worker.says("metrics on port", seconds=SLOW)
        await _erased_without_a_trace(settings, people)
        assert worker.process.poll() is None
        worker.process.terminate()
        assert await worker.ends() == 0
        await forget(settings)


async def _erased_without_a_trace(settings: Settings, people: int) -> None:
    plan = Plan(seed=3, events=300 + 4 * people, whole_way=3)
    await asyncio.to_thread(simulate, settings, Wishes(plan, people=people, templates=2), quiet=True)
    # What follows waits for a minute at most: a large world has to be in the views by then.
    assert (await asyncio.to_thread(verify, settings, quiet=True)).differences == 0
    go_on()
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            gone, files = await _live(Product(settings, client))
            await _check(settings, people, gone, files)
            # The name is free, and whoever takes it is somebody else.
            who = {"username": gone.username, "password": "correct horse battery", "name": "Second"}
            answer = await client.post("/api/v1/accounts", json=who)
            assert answer.status_code == 201 and answer.json()["id"] != gone.id, answer.text


async def _check(settings: Settings, people: int, gone: Person, files: list[bytes]) -> None:
    count = max(5, people // 100)
    records = await asyncio.to_thread(_records, settings)
    before = [decode(body) for body in records]
    registered = [one.actor_id for one in before if type(one).__name__ == "AccountRegistered"]
    already = set(await asyncio.to_thread(erased, settings))
    go_on()
    # Not the first of the simulation, whose pictures all others show.
    chosen = [int(gone.id), *(user for user in registered[10:] if user not in already and str(user) != gone.id)][:count]
    texts, sealed = await _said(settings, before, set(chosen))
    assert WORDS.encode() in texts and len(texts) > count and len(sealed) > len(texts)
    needles = _Needles([*texts, *sealed, *files])
    # They are there before, and whoever looks looks where they are. Redis and ClickHouse are given no words, but ids.
    assert await _in_cassandra(settings, needles) and len(await _in_objects(settings, needles)) == len(files)
    ids = _Needles(b"%d" % user_id for user_id in chosen)
    assert await _in_redis(settings, ids) and await _in_clickhouse(settings, ids)
    names = [gone.username, "hortensia"]

    async def are_found() -> bool:
        return await _in_search(settings, names) == names

    await until("the index finds her", are_found, SLOW)
    folder = folder_of(settings, FIRST)
    assert _Needles(sealed).within(_rows(folder)), "and sealed in its rows"
    segments = _segments(folder)
    assert segments
    await asyncio.to_thread(erase, settings, [gone.username, *map(str, chosen[1:])])
    go_on()
    report = await asyncio.to_thread(verify, settings, quiet=True)
    assert report.differences == 0, list(report.lines(20))
    go_on()
    assert report.views["erasure"].checked == count + len(already)
    assert await _found(settings, needles) == []

    async def is_written_anew() -> bool:
        return not segments & _segments(folder) and not await _in_search(settings, names)

    await until("no word is in the index, nor in a file of it", is_written_anew, SLOW)
    assert not _Needles(texts).within(_rows(folder))
    for view in SOURCES if people > SHORT else REPLAYED:
        replayed = await asyncio.to_thread(replay, settings, view, ReplayWishes(), quiet=True)
        assert (replayed.differences, replayed.well) == (0, True), replayed.to_json()
        go_on()
    assert await (_in_cassandra if people == SHORT else _found)(settings, needles) == []
    # The log stays as it is, and nobody can read it.
    kept = await asyncio.to_thread(_records, settings)
    assert not Counter(records) - Counter(kept)
    after = [decode(body) for body in kept]
    assert await _said(settings, after, set(chosen)) == (set(), sealed)
    print(f"erased {count} of {people}; {len(texts)} texts, {len(sealed)} sealed, {len(after)} events")


async def _live(product: Product) -> tuple[Person, list[bytes]]:
    """Somebody who is there with all that a person has, and their files' bytes."""
    gone, other = await product.register("gone", "Hortensia"), await product.register("other", "Other")
    third = await product.register("third", "Third")
    photo, story, portrait = snapshot(40), snapshot(80), snapshot(120)
    theirs = await other.post(snapshot(200), "theirs")
    mine = await gone.post(photo, WORDS)
    await other.follow(gone)
    await gone.follow(other)
    shown = await gone.upload(portrait)

    async def is_ready() -> bool:
        return bool((await gone.get(f"/api/v1/media/{shown}"))["status"] == "ready")

    await until("the portrait is ready", is_ready, SLOW)
    profile = {"name": "Hortensia", "bio": "I paint hydrangeas", "picture_media_id": shown}
    await gone.ask("PATCH", "/api/v1/me", json=profile)
    await other.sees(mine)
    await gone.sees(theirs)
    await gone.ask("POST", f"/api/v1/posts/{theirs}/comments", json={"text": "hydrangeas everywhere"})
    for deed in ("like", "save", "share"):
        await gone.ask("POST", f"/api/v1/posts/{theirs}/{deed}")
    await gone.ask("PUT", f"/api/v1/users/{third.id}/block")
    await gone.ask("POST", "/api/v1/me/collections", json={"name": "petals of mine"})
    await gone.ask("POST", "/api/v1/stories", json={"media_id": await gone.upload(story)})
    return gone, [photo, story, portrait]


# -- what there is ----------------------------------------------------------------------------------------------------


def _records(settings: Settings) -> list[bytes]:
    """Every event as it stands in the log, partition by partition."""
    ends = {tp: end for tp, end in Topics(settings).ends().items() if end >= 0}
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": settings.topic("look"),
            "enable.partition.eof": True,
        }
    )
    found: list[bytes] = []
    for tp, end in sorted(ends.items()):
        consumer.assign([KafkaPartition(settings.topic(tp.topic), tp.partition, 0)])
        at = -1
        while at < end:
            for message in consumer.consume(1000, timeout=0.5):
                if message.error() is None:
                    at = message.offset() or 0
                    found.append(message.value() or b"")
                else:
                    at = end  # what is last may be a transaction's marker
    consumer.close()
    return found


async def _said(settings: Settings, events: Iterable[Event], people: set[int]) -> tuple[set[bytes], set[bytes]]:
    """What these people wrote and nobody else did, as far as it can be opened; and all that is sealed of theirs."""
    texts: set[bytes] = set()
    others: set[bytes] = set()
    sealed: set[bytes] = set()
    async with await Cassandra.connect(settings) as cassandra:
        keys = PersonKeys(cassandra)
        for event in events:
            own = event.actor_id in people
            for value in _bytes_in(msgspec.structs.astuple(event)):
                if own:
                    sealed.add(value)
                key = (await keys.get_many([event.actor_id])).get(event.actor_id)
                if key is not None:
                    try:
                        (texts if own else others).add(unseal(key, event.actor_id, value).encode())
                    except Unreadable:
                        assert not isinstance(event, Followed)
    return {text for text in texts - others if len(text) > 5}, {one for one in sealed if one}


def _bytes_in(value: Any) -> Iterable[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, msgspec.Struct):
        yield from _bytes_in(msgspec.structs.astuple(value))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _bytes_in(one)


# -- looking for it ---------------------------------------------------------------------------------------------------


class _Needles:
    """Finds any of many strings in long texts: by their first eight bytes, all at once."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._by_head: dict[int, list[bytes]] = {}
        self._short: list[bytes] = []
        # Sealed bytes also stand in JSON, and words in an index without capitals.
        for needle in {form for one in needles for form in (one, one.lower(), base64.b64encode(one))}:
            if len(needle) < 8:
                self._short.append(needle)
            else:
                self._by_head.setdefault(int.from_bytes(needle[:8], "little"), []).append(needle)
        self._heads = np.array(sorted(self._by_head), dtype=np.uint64)
        self._maybe = np.zeros(1 << 16, dtype=bool)
        self._maybe[self._heads & 0xFFFF] = True
        self._whole = {hashlib.sha256(needle).digest() for needle in needles}

    def within(self, text: bytes) -> set[bytes]:
        found = {one for one in self._short if one in text}
        for shift in range(8):
            words = np.frombuffer(text, np.uint64, max(len(text) - shift, 0) // 8, shift) if len(text) > 16 else ()
            words = np.asarray(words, np.uint64)
            words = words[self._maybe[words & 0xFFFF]]  # hardly any; the rest would be sorted
            for head in np.unique(words[np.isin(words, self._heads)]):
                found.update(one for one in self._by_head[int(head)] if one in text)
        return found

    def equals(self, text: bytes) -> bool:
        return hashlib.sha256(text).digest() in self._whole


async def _found(settings: Settings, needles: _Needles) -> list[str]:
    """Where any of it stands: tables and rows, keys of Redis, files."""
    found = [*await _in_cassandra(settings, needles), *await _in_redis(settings, needles)]
    return found + await _in_clickhouse(settings, needles) + await _in_objects(settings, needles)


async def _in_objects(settings: Settings, needles: _Needles) -> list[str]:
    objects = ObjectStore.of(settings)
    return [key async for key in objects.list_keys() if needles.equals(await objects.get(key))]


async def _in_search(settings: Settings, words: Iterable[str]) -> list[str]:
    """Those of ``words`` by which the index finds anything. Its terms are packed: no look at its files tells."""
    index = open_index(folder_of(settings, FIRST))
    index.reload()
    asked = {word: [Query.term_query(SCHEMA, field, word, "basic") for field in TERMS] for word in words}
    return [word for word, queries in asked.items() if any(index.searcher().search(one, 1).hits for one in queries)]


def _segments(folder: Path) -> set[str]:
    """The files of a folder's index that hold words: all but its own records and locks."""
    return {path.name for path in (folder / INDEX).iterdir() if not path.name.endswith((".json", ".lock"))}


def _rows(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("rows.*"))


async def _in_cassandra(settings: Settings, needles: _Needles) -> list[str]:
    found: list[str] = []
    async with await Cassandra.connect(settings) as cassandra:
        rows = await cassandra.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", (cassandra.keyspace,)
        )
        for name in sorted({row.table_name for row in rows} - set(PASSED_OVER)):
            text = bytearray()
            async for page in cassandra.pages(f"SELECT * FROM {name}"):  # noqa: S608 (names of ours)
                for row in page:
                    text += b"\x00".join(_as_bytes(value) for value in row) + b"\x01"
            found += [f"{name}: {needle[:40]!r}" for needle in needles.within(bytes(text))]
    return found


def _as_bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode()


async def _in_redis(settings: Settings, needles: _Needles) -> list[str]:
    redis: Any = connect(settings.redis_url, seconds=30)
    text = bytearray()
    keys = [key async for key in redis.scan_iter(count=1000)]
    for start in range(0, len(keys), 500):
        some = keys[start : start + 500]
        asking = redis.pipeline(transaction=False)
        for key in some:
            asking.type(key)
        kinds = await asking.execute()
        reading = redis.pipeline(transaction=False)
        for key, kind in zip(some, kinds, strict=True):
            match kind:
                case b"string":
                    reading.get(key)
                case b"list":
                    reading.lrange(key, 0, -1)
                case b"set":
                    reading.smembers(key)
                case b"hash":
                    reading.hgetall(key)
                case b"zset":
                    reading.zrange(key, 0, -1)
                case _:
                    assert kind == b"none", kind  # it went meanwhile
        text += b"\x01".join(some) + str(await reading.execute(raise_on_error=False)).encode()
    await redis.aclose()
    return [f"Redis: {needle[:40]!r}" for needle in needles.within(bytes(text))]


async def _in_clickhouse(settings: Settings, needles: _Needles) -> list[str]:
    found: list[str] = []
    async with await ClickHouse.connect(settings) as clickhouse:
        tables = await clickhouse.query(
            "SELECT name FROM system.tables WHERE database = {database:String} AND engine != 'View'",
            {"database": clickhouse.database},
        )
        for (name,) in tables:
            text = str(await clickhouse.query(f"SELECT * FROM {name}")).encode()  # noqa: S608 (names of ours)
            found += [f"ClickHouse {name}: {needle[:40]!r}" for needle in needles.within(text)]
    return found
