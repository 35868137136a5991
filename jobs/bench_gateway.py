"""What the benches of the gateway stand on: a world of its own, people with sessions in it, and ``python -m api``."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from confluent_kafka.admin import AdminClient

from jobs.bench_scene import AT, free_database
from jobs.provision import provision
from schemas.events import AccountRegistered, Event
from schemas.ids import snowflake
from sinks.cassandra import Cassandra, together
from sinks.counters import CounterSink
from sinks.home_feed import HomeFeedSink
from sinks.home_feed_buckets import RedisBuckets
from sinks.person_keys import PersonKeys
from sinks.producer import Producer
from sinks.redis import Redis, connect
from sinks.sealing import new_key, seal
from sinks.sessions import Sessions
from sinks.settings import Settings
from sinks.story_tray import tray_sink
from sinks.tables import TableSink
from sinks.topics import Topics
from streams.accounts import ACCOUNTS
from streams.counters import COUNTERS
from streams.follows import FOLLOWS
from streams.home_feed import HOME_FEED
from streams.posts import POSTS
from streams.records import Record, Span, TopicPartition
from streams.story_tray import STORY_TRAY
from streams.user_posts import USER_POSTS
from streams.views import View

UP_SECONDS = 60.0
_APPLIED = 4_000
_TOGETHER = 200
_TABLES: tuple[View[Any], ...] = (ACCOUNTS, FOLLOWS, POSTS, USER_POSTS)


class GatewayAway(RuntimeError):
    """The gateway process does not come up, or has ended."""


class Person(NamedTuple):
    """Somebody who is logged in."""

    user_id: int
    token: str


class World:
    """Topics, a keyspace and a Redis database of one bench. What is said here stands in the views at once."""

    def __init__(self, settings: Settings, cassandra: Cassandra, redis: Redis, producer: Producer) -> None:
        self.settings, self.redis, self.producer, self.keys = settings, redis, producer, PersonKeys(cassandra)
        self._sessions = Sessions(cassandra, seconds=settings.refresh_token_seconds)
        self._ids = Topics(settings).ids()
        self._reached: dict[TopicPartition, int] = {}
        count = settings.buckets
        buckets = RedisBuckets(
            redis, self._ids, generation=1, buckets=count, cap=settings.feed_cap, slack=settings.feed_slack
        )
        self._sinks: dict[str, Any] = {view.name: TableSink(cassandra, view.name, 1, self._ids) for view in _TABLES}
        self._sinks[HOME_FEED.name] = HomeFeedSink(
            buckets, self._ids, count=count, pull_threshold=settings.pull_threshold
        )
        self._sinks[COUNTERS.name] = CounterSink(redis, self._ids, generation=1, buckets=count)
        # A gateway watches over the trays too, all the time where they are behind.
        self._sinks[STORY_TRAY.name] = tray_sink(redis, settings, self._ids, 1)

    async def say(self, events: Sequence[Event]) -> None:
        """Write ``events`` to the log, and apply them as the agents would."""
        for start in range(0, len(events), _APPLIED):
            some = events[start : start + _APPLIED]
            written = await self.producer.produce_many(some)
            records = [Record(*place, AT, event) for place, event in zip(written, some, strict=True)]
            records.sort(key=lambda record: (record.tp, record.offset))
            last = {record.tp: record.offset for record in records}
            for view in (*_TABLES, HOME_FEED, COUNTERS, STORY_TRAY):
                own = [record for record in records if record.tp.topic in view.sources]
                spans = {record.tp: Span(self._reached.get(record.tp, -1), last[record.tp]) for record in own}
                if own:
                    await self._sinks[view.name].apply(view.project(own), spans)
            self._reached |= last

    async def register(self, count: int, node: int) -> list[int]:
        """So many people with names; ``node`` tells them from others."""
        people = [snowflake(AT + n // 4000, node, n % 4000) for n in range(count)]
        keys = {person: new_key() for person in people}
        await self.keys.create_many(keys)
        await self.say(
            [
                AccountRegistered(
                    event_id=person,
                    at=AT,
                    actor_id=person,
                    user_id=person,
                    username=seal(key, person, f"person_{node}_{n}"),
                    name=seal(key, person, f"Person Number {n}"),
                )
                for n, (person, key) in enumerate(keys.items())
            ]
        )
        return people

    async def log_in(self, people: Iterable[int]) -> list[Person]:
        """A session and an access token of each, as a login would give them after the password, which costs 0.1 s."""
        now, asked, logged_in = int(time.time()), list(people), list[Person]()
        for start in range(0, len(asked), _TOGETHER):
            some = asked[start : start + _TOGETHER]
            for opened in await together(self._sessions.open(person, now * 1000) for person in some):
                claims = {"iss": "shutterlog", "aud": "shutterlog-api", "type": "access", "role": "person"}
                claims |= {"sub": str(opened.user_id), "sid": opened.session_id, "iat": now, "exp": now + 3600}  # type: ignore[dict-item]
                logged_in.append(Person(opened.user_id, jwt.encode(claims, self.settings.jwt_secret, "HS256")))
        return logged_in

    @asynccontextmanager
    async def serving(self, module: str = "api", **environment: str) -> AsyncIterator[Gateway]:
        """``python -m MODULE`` with this world's settings on a free port, once it is ready; ended with the block."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = self.settings
        own = {
            "SHUTTERLOG_HOME": str(settings.shutterlog_home),
            **settings.store_variables,
            "CASSANDRA_KEYSPACE": settings.cassandra_keyspace,
            "TOPIC_PREFIX": settings.topic_prefix,
            "PARTITIONS": str(settings.partitions),
            "BUCKETS": str(settings.buckets),
            "PULL_THRESHOLD": str(settings.pull_threshold),
            "JWT_SECRET": settings.jwt_secret,
            "PUBLIC_URL": settings.public_url or "",
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
        }
        log = settings.shutterlog_home / f"{module}.log"
        with log.open("ab") as output:
            command = [sys.executable, "-m", module]
            running = subprocess.Popen(  # noqa: S603
                command, env={**os.environ, **own, **environment}, stdout=output, stderr=output
            )
        try:
            gateway = Gateway(running, port, log)
            await asyncio.to_thread(gateway.ready)
            yield gateway
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(running.wait, 15)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


class Gateway:
    """A running gateway process."""

    def __init__(self, running: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._running, self.port, self._log = running, port, log

    def ready(self) -> None:
        """Wait until it answers. Raises ``GatewayAway``."""
        deadline = time.monotonic() + UP_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2):
                    return
            except (urllib.error.URLError, OSError) as error:
                if self._running.poll() is not None or time.monotonic() > deadline:
                    tail = self._log.read_text(errors="replace")[-2000:]
                    raise GatewayAway(f"the gateway does not come up: {tail}") from error
            time.sleep(0.1)

    def page(self, path: str, token: str) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of one answer."""
        request = urllib.request.Request(  # noqa: S310
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return dict(answer.headers), answer.read()

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        fields = Path(f"/proc/{self._running.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize()

    def processor_seconds(self) -> float:
        """Processor time that it has taken, all threads."""
        fields = Path(f"/proc/{self._running.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def opened(settings: Settings, **changes: object) -> AsyncIterator[World]:
    """A world with these ``changes`` of its settings, which is removed afterwards."""
    name = uuid.uuid4().hex[:8]
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shutterlog-bench-")))
        own = settings.model_copy(
            update={
                "topic_prefix": f"bench-{name}.",
                "cassandra_keyspace": f"bench_{name}",
                "redis_url": await free_database(settings.redis_url),
                "shutterlog_home": folder,
                "jwt_secret": secrets.token_urlsafe(32),
                **changes,
            }
        )
        redis = connect(own.redis_url, seconds=60)
        stack.push_async_callback(redis.aclose)
        stack.push_async_callback(redis.flushdb)
        stack.push_async_callback(asyncio.to_thread, _forget_topics, own)
        await asyncio.to_thread(provision, own)
        cassandra = await stack.enter_async_context(await Cassandra.connect(own))
        stack.push_async_callback(cassandra.change_schema, f"DROP KEYSPACE {own.cassandra_keyspace}")
        producer = await stack.enter_async_context(Producer(own, timeout_seconds=60))
        yield World(own, cassandra, redis, producer)


def _forget_topics(settings: Settings) -> None:
    admin = AdminClient(settings.kafka_client)
    for deleted in admin.delete_topics([settings.topic(name) for name in Topics(settings).names()]).values():
        deleted.result()


def program(module: str, told: object, descriptors: int = 1024) -> subprocess.Popen[bytes]:
    """``python -m MODULE`` that reads ``told`` as JSON, with so many descriptors, and writes JSON."""
    allow(descriptors)
    running = subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    assert running.stdin is not None  # noqa: S101
    running.stdin.write(json.dumps(told).encode() + b"\n")
    running.stdin.flush()
    return running


def allow(descriptors: int) -> None:
    """Let this process, and those that it starts, have so many open descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, max(hard, descriptors)))
