"""Whether a backup may be restored here: only into a world that is empty, or that an unfinished restore began."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from jobs.backup_log import ORDER, LogSource
from jobs.backup_manifest import BackupRefused, Manifest
from jobs.services.home import write_text
from jobs.verify import NAMES
from schemas import codec
from schemas.lock import Lock
from sinks.cassandra import Cassandra, KeyspaceMissing
from sinks.generations import TOPIC as GENERATIONS
from sinks.generations import GenerationLog
from sinks.kept_tables import KEPT, REBUILT, tables_with_rows
from sinks.producer import failure
from sinks.redis import connect, reaching_redis
from sinks.settings import Settings
from sinks.topics import Topics

_ASK_SECONDS = 15.0
_COORDINATOR_SECONDS = 30.0
_NO_COORDINATOR = {
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


class Begun(msgspec.Struct, frozen=True):
    """A restore that began here, as ``$SHUTTERLOG_HOME/restore.json`` says: of which backup, whether it came to its
    end, and Kafka's id of each topic that it writes to."""

    log: str
    topics: dict[str, str]
    finished: bool = False


def begun_file(settings: Settings) -> Path:
    """Where ``Begun`` is kept."""
    return settings.shutterlog_home / "restore.json"


def read_begun(settings: Settings, manifest: Manifest) -> Begun | None:
    """The unfinished restore of this backup, if one began here."""
    try:
        found = msgspec.json.decode(begun_file(settings).read_bytes(), type=Begun)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BackupRefused(f"{begun_file(settings)} cannot be read: {error}") from error
    return found if found.log == manifest.log and not found.finished else None


def write_begun(settings: Settings, begun: Begun) -> None:
    """Remember it."""
    settings.shutterlog_home.mkdir(parents=True, exist_ok=True)
    write_text(begun_file(settings), msgspec.json.encode(begun).decode())


def refuse_unfit(settings: Settings, manifest: Manifest) -> None:
    """Raise ``BackupRefused`` where this build, as it is set, cannot take over the log of this backup."""
    if manifest.partitions != settings.partitions:
        raise BackupRefused(
            f"the backup has {manifest.partitions} partitions, and the number is fixed for life: set "
            f"PARTITIONS={manifest.partitions}"
        )
    known = codec.current().lock.by_id
    unknown = [
        f"{version.subject} version {version.version} (id {version.id})"
        for version in Lock.parse(manifest.schemas).versions()
        if version.id not in known or known[version.id][:2] != (version.subject, version.version)
    ]
    if unknown:
        raise BackupRefused(
            f"this build does not know {', '.join(unknown)}: use the build that wrote the backup or a later one, and "
            "the schema registry whose ids the log carries"
        )


async def refuse_unless_empty(settings: Settings, begun: Begun | None) -> None:
    """Raise ``BackupRefused`` where anything is there that ``begun`` did not write. Changes nothing."""
    await asyncio.to_thread(_refuse_members, settings)
    await asyncio.to_thread(_refuse_records, settings, begun)
    await _refuse_rows(settings, begun)
    await _refuse_feeds(settings)


def coordinated(call: Callable[[], Any]) -> Any:
    """``call()``, again while the groups' coordinator is not there yet, as in a cluster that was just started.

    Raises ``KafkaException`` for everything else, and for this after a while.
    """
    deadline = time.monotonic() + _COORDINATOR_SECONDS
    while True:
        try:
            return call()
        except KafkaException as error:
            if error.args[0].code() not in _NO_COORDINATOR or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _described(admin: AdminClient, group: str) -> Any:
    return admin.describe_consumer_groups([group], request_timeout=_ASK_SECONDS)[group].result()


def _refuse_members(settings: Settings) -> None:
    groups = [settings.topic(name) for name in NAMES]
    config: dict[str, Any] = {**settings.kafka_client, "error_cb": lambda error: None}
    admin = AdminClient(config)
    running = []
    for name in groups:
        try:
            found = coordinated(lambda name=name: _described(admin, name))  # type: ignore[misc]
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:  # as newer brokers say
                continue
            raise failure(error.args[0]) from error
        if found.members or found.state not in (ConsumerGroupState.DEAD, ConsumerGroupState.EMPTY):
            running.append(name)
    if running:
        raise BackupRefused(
            f"agents are running ({', '.join(sorted(running))}): stop them (`shutterlog down`, then "
            "`shutterlog up --services-only`), and start them once the restore is done"
        )


def _refuse_records(settings: Settings, begun: Begun | None) -> None:
    topics = Topics(settings)
    missing = set(topics.provision(dry_run=True))
    there = [topic for topic in ORDER if topic not in missing]
    source = LogSource(settings)
    try:
        full = {tp.topic for tp, end in source.ends(there).items() if end}
    finally:
        source.close()
    if full and begun is not None and not missing:
        ids = topics.ids()
        full = {topic for topic in full if ids[topic] != begun.topics.get(topic)}
    elif begun is not None:
        full -= begun.topics.keys()
    if GENERATIONS not in missing and GenerationLog(settings).read():
        full.add(GENERATIONS)
    if full:
        names = ", ".join(settings.topic(topic) for topic in sorted(full))
        raise BackupRefused(
            f"the log is not empty: {names}. A backup is restored into an empty world: use another cluster or another "
            "TOPIC_PREFIX; or, if that log is to go, delete all of its topics (kafka-topics.sh --bootstrap-server "
            f"{settings.kafka_bootstrap} --delete --topic NAME)"
        )


async def _refuse_rows(settings: Settings, begun: Begun | None) -> None:
    try:
        async with await Cassandra.connect(settings) as cassandra:
            full = await tables_with_rows(cassandra)
    except KeyspaceMissing:
        return
    ours: Collection[str] = (*KEPT, *REBUILT) if begun is not None else ()
    others = [table for table in full if table not in ours]
    if others:
        keyspace = settings.cassandra_keyspace
        raise BackupRefused(
            f"the keyspace {keyspace} holds rows of another log, in {', '.join(others)}: use another "
            f"CASSANDRA_KEYSPACE; or, if they are to go, cqlsh -e 'DROP KEYSPACE {keyspace}'"
        )


async def _refuse_feeds(settings: Settings) -> None:
    redis = connect(settings.redis_url, seconds=30)
    try:
        async with reaching_redis():
            async for key in redis.scan_iter(match="[ht][frd][0-9]*", count=5000):  # feeds, trays, trends
                raise BackupRefused(
                    f"this database of Redis holds the home feed of another log ({key.decode()}): name another one in "
                    "REDIS_URL; or, if it is to go, redis-cli FLUSHDB there"
                )
    finally:
        await redis.aclose()
