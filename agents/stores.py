"""The composition root of a worker: what its agents stand on, opened once and closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

from sinks.cassandra import Cassandra
from sinks.clickhouse import ClickHouse
from sinks.dead_letters import DeadLetters
from sinks.decoding import DecodePool
from sinks.errors import LogRemade, StoreAway
from sinks.generations import Changed, LiveGenerations
from sinks.object_store import ObjectStore
from sinks.producer import Producer, TopicMissing
from sinks.redis import Redis, connect
from sinks.settings import Settings
from sinks.topics import Topics

logger = logging.getLogger(__name__)
Entered = TypeVar("Entered")


class Stores:
    """Opens each store at first use; to be entered before and left after all agents."""

    def __init__(self, settings: Settings, flipped: Changed = lambda view, generation: None) -> None:
        """``flipped`` hears of every view that gets another live generation, once ``generations`` was called."""
        self.settings = settings
        self._flipped = flipped
        self._generations: LiveGenerations | None = None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._cassandra: Cassandra | None = None
        self._redis: Redis | None = None
        self._clickhouse: ClickHouse | None = None
        self._producer: Producer | None = None
        self._topics = Topics(settings)
        self._topic_ids: dict[str, str] = {}

    async def __aenter__(self) -> Stores:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def cassandra(self) -> Cassandra:
        """The worker's one session; raises ``StoreAway``."""
        async with self._opening:
            if self._cassandra is None:
                self._cassandra = await Cassandra.connect(self.settings)
                self._stack.push_async_callback(self._cassandra.close)
            return self._cassandra

    @property
    def answers(self) -> int:
        """How often Cassandra has answered this worker."""
        return 0 if self._cassandra is None else self._cassandra.answers

    async def redis(self) -> Redis:
        """The worker's one client, which connects at its first call."""
        async with self._opening:
            if self._redis is None:
                self._redis = connect(self.settings.redis_url)
                self._stack.push_async_callback(self._redis.aclose)
            return self._redis

    async def clickhouse(self) -> ClickHouse:
        """The worker's one client; raises ``StoreAway``."""
        async with self._opening:
            if self._clickhouse is None:
                self._clickhouse = await ClickHouse.connect(self.settings, make_database=True)
                self._stack.push_async_callback(self._clickhouse.close)
            return self._clickhouse

    async def producer(self) -> Producer:
        """The worker's one producer."""
        async with self._opening:
            if self._producer is None:
                self._producer = await self._stack.enter_async_context(Producer(self.settings))
            return self._producer

    async def dead_letters(self) -> DeadLetters:
        """The DLQ topics."""
        return DeadLetters(await self.producer())

    async def topic_ids(self) -> dict[str, str]:
        """Kafka's id of each topic, as fences carry them; raises ``StoreAway``."""
        async with self._opening:
            if not self._topic_ids:
                self._topic_ids = await asyncio.to_thread(self._topics.ids)
            return self._topic_ids

    async def generations(self) -> LiveGenerations:
        """The live generation of each view, followed from now on; raises ``StoreAway``."""
        async with self._opening:
            if self._generations is None:
                following = LiveGenerations(self.settings, self._flipped)
                await following.start()
                self._stack.push_async_callback(following.stop)
                self._generations = following
            return self._generations

    async def check_log(self) -> None:
        """Raise ``LogRemade`` where a topic is no longer the one that the sinks were opened for.

        Offsets do not give that away: a new log that is longer than the old one was is read on from there, without its
        beginning. While Kafka is away, or does not know the topics, nothing can be said.
        """
        if not self._topic_ids:
            return
        try:
            now = await asyncio.to_thread(self._topics.ids)
        except (StoreAway, TopicMissing) as error:
            logger.warning("the topics' ids cannot be read: %s", error)
            return
        remade = sorted(topic for topic, topic_id in self._topic_ids.items() if now[topic] != topic_id)
        if remade:
            raise LogRemade(
                f"{', '.join(remade)}: deleted and made again under this worker. Restore the log, or drop the views "
                "and let them be rebuilt."
            )

    async def entered(self, context: AbstractAsyncContextManager[Entered]) -> Entered:
        """What ``context`` gives; it is left together with the stores."""
        return await self._stack.enter_async_context(context)

    def object_store(self) -> ObjectStore:
        """Where originals and renditions stand."""
        return ObjectStore.of(self.settings)

    async def decode_pool(self) -> DecodePool:
        """Worker processes that decode pictures, within limits of time and memory."""
        settings = self.settings
        pool = DecodePool(
            settings.decode_workers,
            settings.decode_seconds,
            settings.decode_memory_mib,
            pixel_limit=settings.pixel_limit,
        )
        return await self._stack.enter_async_context(pool)
