"""Backup and restore on real services: what comes back is what was there, byte by byte and offset by offset."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
from typer.testing import CliRunner

from jobs import backup as backup_module
from jobs.accounts import erase
from jobs.backup import backup
from jobs.backup_log import ORDER
from jobs.backup_manifest import BackupRefused, read_keys_manifest, read_manifest
from jobs.backup_segments import Kept, SegmentWriter
from jobs.cli import app
from jobs.provision import provision
from jobs.restore import restore
from jobs.restore_checks import begun_file
from jobs.restore_log import LogTarget
from jobs.restore_plan import Put, Sealed, Torn, plan
from jobs.verify import verify
from jobs.verify_log import committed
from schemas.events import TOPICS, PostDeleted, RenditionsReady
from sinks.cassandra import Cassandra
from sinks.kept_tables import KEPT, LEFT_OUT, REBUILT, tables_with_rows
from sinks.object_store import ObjectStore, original_key
from sinks.person_keys import PersonKeys
from sinks.producer import Producer
from sinks.publishing import PublishingMemory
from sinks.redis import connect
from sinks.settings import Settings
from sinks.tables import TableSink
from sinks.topics import Topics
from sinks.view_tables import ddl, view_tables
from streams.records import TopicPartition
from tests.agents.workers import Workers, environment
from tests.jobs.backup_worlds import ROWS, commit_all, drop, ends_of, kept_rows, live, raw_log, small
from tests.jobs.test_verify import PEOPLE, history
from tests.services import empty_redis


class Worlds(NamedTuple):
    """One that lived, one that is empty, and a folder for the backup."""

    old: Settings
    new: Settings
    folder: Path


@pytest.fixture
async def worlds(settings: Settings, redis_url: str, tmp_path: Path) -> AsyncIterator[Worlds]:
    name = uuid.uuid4().hex[:10]
    old = small(settings)
    with empty_redis(redis_url) as second:
        new = small(
            settings,
            topic_prefix=f"test-{name}.",
            cassandra_keyspace=f"test_{name}",
            redis_url=second,
            shutterlog_home=tmp_path / "home2",
        )
        await live(old)
        yield Worlds(old, new, tmp_path / "backup")
        await drop(old, new)


async def backed_up(worlds: Worlds) -> backup_module.Report:
    return await asyncio.to_thread(backup, worlds.old, worlds.folder, quiet=True)


async def restored(worlds: Worlds, **options: Any) -> Any:
    return await asyncio.to_thread(restore, worlds.new, worlds.folder, quiet=True, **options)


async def test_everything_comes_back_where_it_was(worlds: Worlds) -> None:
    commits = commit_all(worlds.old)
    made = await backed_up(worlds)
    before = raw_log(worlds.old)
    assert made.records == sum(map(len, before.values()))
    assert any(kept.value is None for kept in before[TopicPartition("posts", 0)])

    report = await restored(worlds)

    assert report.records == made.records
    assert raw_log(worlds.new) == before
    assert ends_of(worlds.new) == ends_of(worlds.old)
    assert (
        await kept_rows(worlds.new)
        == {table: sorted(rows, key=repr) for table, rows in ROWS.items()}
        == await kept_rows(worlds.old)
    )
    for group, topics in (("media", ("media",)), ("publisher", ("posts", "media", "stories"))):
        expected = {tp: last for tp, last in commits.items() if tp.topic in topics}
        assert committed(worlds.new, group, topics) == expected
    # The publisher remembers what it had read, and its fence, in the ids of the new topics, is where it was.
    async with await Cassandra.connect(worlds.new) as cassandra:
        ids = Topics(worlds.new).ids()
        assert await TableSink(cassandra, "publisher", 1, ids).fences(commits) == commits
        ready = [event.media_id for event in history() if isinstance(event, RenditionsReady)]
        assert set(await PublishingMemory(cassandra).outcomes(ready)) == set(ready)
        removed = [event.post_id for event in history() if isinstance(event, PostDeleted)]
        assert await PublishingMemory(cassandra).removed(removed) == set(removed)
        # Every erasure in the log is done again, and takes no picture that another file still has.
        of_erasure = committed(worlds.new, "erasure", ("accounts", "media"))
        assert of_erasure and set(of_erasure.values()) == {-1}
        assert {row.media_id for row in await cassandra.execute("SELECT media_id FROM rendition_keys")} == set(ready)
    # From now on the broker stamps again.
    async with Producer(worlds.new) as producer:
        ((tp, offset),) = [await producer.produce(history()[0])]
    assert raw_log(worlds.new)[tp][-1].offset == offset
    assert raw_log(worlds.new)[tp][-1].timestamp >= max(kept.timestamp for kept in before[tp])


async def test_any_avro_reader_can_read_the_log(worlds: Worlds) -> None:
    await backed_up(worlds)
    segment = next(one for one in read_manifest(worlds.folder).segments if one.topic == "accounts")  # type: ignore[union-attr]
    with (worlds.folder / segment.file).open("rb") as file:
        reader = fastavro.reader(file)
        record: Any = next(reader)
        lock = json.loads(reader.metadata["shutterlog.schemas"])
        schemas = {one["id"]: one["schema"] for versions in lock["subjects"].values() for one in versions}
        event: Any = fastavro.schemaless_reader(io.BytesIO(record["value"][5:]), schemas[record["schema_id"]], None)
    assert event["user_id"] in PEOPLE
    assert str(event["user_id"]).encode() == record["key"]


async def test_a_later_run_adds_only_what_is_new(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_module, "SEGMENT_RECORDS", 5)
    first = await backed_up(worlds)
    files = {path: path.stat().st_mtime_ns for path in worlds.folder.rglob("log/**/*.avro")}
    assert len(files) == first.segments > 10
    async with Producer(worlds.old) as producer:
        await producer.produce_many(history()[:3])
    async with await Cassandra.connect(worlds.old) as cassandra:
        await cassandra.execute("DELETE FROM person_keys WHERE user_id = ?", (PEOPLE[2],))  # somebody is erased

    second = await backed_up(worlds)

    assert (second.run, second.records) == (2, 3)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    keys = read_keys_manifest(worlds.folder / "keys")
    assert keys is not None and keys.tables["person_keys"].count == len(PEOPLE) - 1
    held = b"".join(path.read_bytes() for path in (worlds.folder / "keys").iterdir())
    assert len(list((worlds.folder / "keys").iterdir())) == len(KEPT) + 1, "the files of the run before are gone"
    assert bytes([2]) * 32 not in held
    third = await backed_up(worlds)
    assert (third.run, third.records, third.segments) == (3, 0, 0)
    await restored(worlds)
    assert raw_log(worlds.new) == raw_log(worlds.old)


async def test_who_was_erased_after_the_backup_is_erased_again(
    worlds: Worlds, workers: Workers, tmp_path: Path
) -> None:
    gone, erased = PEOPLE[:2], tmp_path / "erased"
    await backed_up(worlds)
    erased.write_text("\n".join(map(str, gone)))
    await asyncio.to_thread(erase, worlds.old, erased.read_text().split())
    await restored(worlds)
    # A copy of the bucket is as old as that of the log.
    objects = ObjectStore.of(worlds.new)
    await objects.put(original_key(gone[0], 1_780_000_000_000, 9), b"a picture")
    async with await Cassandra.connect(worlds.new) as cassandra:
        assert (await PersonKeys(cassandra).get_many(gone)).keys() == set(gone), "the copy brings them back"
    again = ["erase", "--again", str(erased)]
    answer = await asyncio.to_thread(CliRunner().invoke, app, again, env=environment(worlds.new))
    assert answer.exit_code == 0, answer.output
    worker = workers.start(worlds.new, "erasure")
    report = await asyncio.to_thread(verify, worlds.new, ["erasure"], quiet=True)
    assert (report.views["erasure"].checked, report.differences) == (len(gone), 0), list(report.lines(20))
    assert [key async for key in objects.list_keys(str(gone[0]))] == []
    worker.process.terminate()
    assert await worker.ends() == 0


async def test_the_keys_are_for_their_owner_only(worlds: Worlds, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    await asyncio.to_thread(backup, worlds.old, worlds.folder, apart, quiet=True)
    assert not (worlds.folder / "keys").exists()
    assert {path.stat().st_mode & 0o777 for path in apart.iterdir()} == {0o600}
    assert apart.stat().st_mode & 0o777 == 0o700
    with pytest.raises(BackupRefused, match="holds no keys: name their folder with --keys"):
        await restored(worlds)
    assert (await restored(worlds, keys_folder=apart)).keys["person_keys"] == len(PEOPLE)


class Killed(BaseException):
    """What a kill is to the code: it ends anywhere, and nothing is cleaned up that another start relies on."""


@contextmanager
def killed_after(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, calls: int) -> Iterator[None]:
    original, count = getattr(where, name), 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count > calls:
            raise Killed
        return original(*args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(where, name, counted)
        yield


async def test_a_backup_that_was_killed_goes_on(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_module, "SEGMENT_RECORDS", 5)
    monkeypatch.setattr(backup_module, "_SAVE_SECONDS", 0.0)
    with killed_after(monkeypatch, SegmentWriter, "write", 43):
        await backed_up(worlds)
    partial = read_manifest(worlds.folder)
    assert partial is not None and sum(one.count for one in partial.segments) >= 30
    assert list(worlds.folder.rglob(".*.partial"))
    with pytest.raises(BackupRefused, match="never finished"):
        await restored(worlds)

    report = await backed_up(worlds)

    assert report.records == report.records_in_all - sum(one.count for one in partial.segments)
    await restored(worlds)
    assert raw_log(worlds.new) == raw_log(worlds.old)


@pytest.mark.parametrize("step", [1, 20, 60])
async def test_a_restore_that_was_killed_goes_on(worlds: Worlds, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    commit_all(worlds.old)
    await backed_up(worlds)
    original = LogTarget._produce

    def at_once(self: LogTarget, *args: Any) -> None:
        original(self, *args)
        self._plain.flush()

    monkeypatch.setattr(LogTarget, "_produce", at_once)
    with killed_after(monkeypatch, LogTarget, "_produce", step):
        await restored(worlds)

    report = await restored(worlds)

    assert report.resumed
    assert report.records == report.records_in_all - step
    assert raw_log(worlds.new) == raw_log(worlds.old)
    with pytest.raises(BackupRefused, match="the log is not empty"):
        await restored(worlds)


async def test_a_kill_inside_a_transaction_is_noticed_and_can_be_mended(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backed_up(worlds)
    original = LogTarget._seal

    def torn(self: LogTarget, records: Any) -> None:
        self._transactional.begin_transaction()
        for tp, record in records.items():
            self._produce(self._transactional, tp, record)
        self._transactional.flush()
        raise Killed

    monkeypatch.setattr(LogTarget, "_seal", torn)
    with pytest.raises(Killed):
        await restored(worlds)
    monkeypatch.setattr(LogTarget, "_seal", original)
    with pytest.raises(BackupRefused, match=r"posts-\d cannot be restored into as it is: .*Delete the topic posts"):
        await restored(worlds)
    await asyncio.to_thread(delete_topic, worlds.new, "posts")
    report = await restored(worlds)
    assert report.resumed
    assert raw_log(worlds.new) == raw_log(worlds.old)


def delete_topic(settings: Settings, topic: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    admin.delete_topics([settings.topic(topic)])[settings.topic(topic)].result()


async def test_a_flipped_byte_is_refused_by_the_file_s_name(worlds: Worlds) -> None:
    await backed_up(worlds)
    for path in (*worlds.folder.rglob("posts/**/*.avro"), *(worlds.folder / "keys").glob("usernames*.avro")):
        content = path.read_bytes()
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
        with pytest.raises(BackupRefused, match=f"{path.name} is damaged"):
            await restored(worlds)
        path.write_bytes(content)
    assert Topics(worlds.new).provision(dry_run=True) == Topics(worlds.new).names(), "nothing was made"


async def test_a_world_that_is_not_empty_is_refused(worlds: Worlds) -> None:
    await backed_up(worlds)
    new = worlds.new
    await asyncio.to_thread(provision, new)
    redis = connect(new.redis_url)
    await redis.set("hf1:{0}:h:1", "x")
    with pytest.raises(BackupRefused, match="holds the home feed of another log .*redis-cli FLUSHDB"):
        await restored(worlds)
    await redis.flushdb()
    await redis.aclose()
    async with await Cassandra.connect(new) as cassandra:
        await cassandra.execute("INSERT INTO accounts_1 (user_id) VALUES (?)", (1,))
        with pytest.raises(BackupRefused, match="rows of another log, in accounts_1: .*DROP KEYSPACE"):
            await restored(worlds)
        await cassandra.change_schema("TRUNCATE accounts_1")
        await cassandra.execute("INSERT INTO uploads (media_id) VALUES (?)", (1,))
        with pytest.raises(BackupRefused, match="rows of another log, in uploads"):
            await restored(worlds)
        await cassandra.change_schema("TRUNCATE uploads")
    assert (await restored(worlds, dry_run=True)).records == 0
    assert not begun_file(new).exists()
    async with Producer(new) as producer:
        await producer.produce(history()[0])
    with pytest.raises(BackupRefused, match="the log is not empty: .*accounts"):
        await restored(worlds)


async def test_agents_that_run_are_refused(worlds: Worlds) -> None:
    from confluent_kafka import Consumer

    await backed_up(worlds)
    await asyncio.to_thread(provision, worlds.new)
    agent = Consumer({"bootstrap.servers": worlds.new.kafka_bootstrap, "group.id": worlds.new.topic("media")})
    agent.subscribe([worlds.new.topic("media")])
    while not agent.assignment():
        agent.poll(0.2)
    with pytest.raises(BackupRefused, match="agents are running .*media"):
        await restored(worlds)
    agent.close()


async def test_a_folder_belongs_to_one_log(worlds: Worlds) -> None:
    await backed_up(worlds)
    await asyncio.to_thread(provision, worlds.new)
    with pytest.raises(BackupRefused, match="the backup of another log: accounts had the id"):
        await asyncio.to_thread(backup, worlds.new, worlds.folder, quiet=True)
    with pytest.raises(BackupRefused, match="the keys of another backup"):
        second = worlds.folder.with_name("second")
        await asyncio.to_thread(backup, worlds.new, second, worlds.folder / "keys", quiet=True)
    foreign = worlds.folder.with_name("third")
    foreign.mkdir()
    (foreign / "photo.jpg").touch()
    with pytest.raises(BackupRefused, match="holds other things and no backup"):
        await asyncio.to_thread(backup, worlds.new, foreign, quiet=True)


async def test_a_dry_run_writes_nothing(worlds: Worlds) -> None:
    report = await asyncio.to_thread(backup, worlds.old, worlds.folder, quiet=True, dry_run=True)
    assert report.records > 50
    assert not worlds.folder.exists()


def test_every_topic_and_every_table_is_backed_up_or_left_out_by_name() -> None:
    assert sorted(ORDER) == sorted([*TOPICS, *(f"{topic}.dlq" for topic in TOPICS)])
    tables = {statement.split("EXISTS ")[1].split()[0] for statement in ddl(1)}
    accounted = {*KEPT, *LEFT_OUT, *REBUILT, *view_tables(1)}
    assert tables - accounted == set(), "what is it: kept, rebuilt, or left out?"
    assert accounted - tables == set()


# -- the plan ---------------------------------------------------------------------------------------------------------


def log_of(*offsets: int) -> list[Kept]:
    return [Kept(offset, 1, b"%d" % offset, b"") for offset in offsets]


def written(records: list[Kept], at: int, start: int, end: int) -> tuple[list[int], int]:
    """What the plan comes to: the offsets at which records stand, and the log's end."""
    visible = []
    for step in plan(records, at, start, end):
        match step:
            case Put(record) | Sealed(record):
                assert record.offset == at
                visible.append(at)
                at += 1 + isinstance(step, Sealed)
            case _:
                at += step.offsets
    return visible, at


@pytest.mark.parametrize(
    ("offsets", "start", "end"),
    [
        ((), 0, 0),
        ((0, 1, 2), 0, 3),
        ((0, 1, 3, 4), 0, 6),
        ((2, 6, 8), 0, 10),
        ((5, 6), 5, 7),
        ((8,), 5, 9),
        ((), 7, 7),
        ((6, 7), 5, 8 + 5),
    ],
)
def test_a_plan_puts_every_record_where_it_was(offsets: tuple[int, ...], start: int, end: int) -> None:
    if offsets and start and offsets[0] - start == 1:
        with pytest.raises(Torn):
            written(log_of(*offsets), 0, start, end)
        return
    assert written(log_of(*offsets), 0, start, end) == (list(offsets), end)


def test_one_offset_alone_cannot_be_taken_up() -> None:
    with pytest.raises(Torn, match="the one offset 4"):
        written(log_of(5), 4, 0, 6)


async def test_tables_with_rows_names_them(worlds: Worlds) -> None:
    async with await Cassandra.connect(worlds.old) as cassandra:
        assert await tables_with_rows(cassandra) == sorted(ROWS)
