"""The stack of clusters that chaos breaks: nodes that can be kept away, and that are seen to be back in full."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import redis
from confluent_kafka.admin import AdminClient, ClusterMetadata

from jobs import redis_slots
from jobs.chaos_stack import ROOT, ChaosStack
from jobs.services import pids, redis_cluster
from jobs.services.addresses import CLUSTERS
from jobs.services.failures import StackError
from jobs.services.home import read_json
from jobs.services.stack import Stack
from sinks.cassandra import ALL, Cassandra
from sinks.errors import StoreAway

_BACK_SECONDS = 240.0
"""Half a dozen Java programs on two cores that others use as well: a broker once took minutes to start."""
_LOOK_SECONDS = 0.2


class ClusterStack(ChaosStack):
    """As ``ChaosStack``, of three brokers, three Cassandra nodes, and three Redis masters with their replicas. Nothing
    is between them and their clients."""

    ports: Mapping[str, int]
    """What each node listens on."""

    async def _start_services(self) -> dict[str, str]:
        services = Stack(self.home, self._given, self._say)
        await asyncio.to_thread(services.start_services, free_ports=True, clustered=True)
        self.ports = read_json(self.home.run / "stack.json")["ports"]
        await self._provision()
        try:
            await self.whole("cassandra")
        except TimeoutError as error:
            raise StackError(f"the cluster is not whole from the first: {error}") from error
        return {}

    async def kill_and_keep(self, node: str) -> int:
        """Kill a node outright, and see to it that nobody starts it; its pid."""
        pid = await self.pid(node)
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self._stack.supervisor.stop_program, node)
        deadline = time.monotonic() + 30
        while (state := (await asyncio.to_thread(self._stack.supervisor.states)).get(node)) and state.pid:
            # The supervisor was faster: what it started has to go as well.
            if time.monotonic() > deadline:
                raise TimeoutError(f"{node} does not end")
            await asyncio.to_thread(pids.wait_gone, [state.pid], 1.0)
        return pid

    async def roll(self, slot: str, checkout: Path | None) -> int:
        """Stop one worker as an operator would, and start it again, from another checkout where one is given; its new
        pid."""
        before = await self.pid(slot)
        await asyncio.to_thread(self._stack.restart_app, slot, {"PYTHONPATH": str(checkout or ROOT)})
        after = await self.pid(slot)
        if after == before:
            raise TimeoutError(f"{slot} was not restarted")
        return after

    # -- who has what -------------------------------------------------------------------------------------------------

    async def redis_owners(self, but: str = "") -> list[str | None]:
        """The node that has each slot, as any node that runs knows it."""
        names = {self.ports[node]: node for node in CLUSTERS["redis"]}
        for node in CLUSTERS["redis"]:
            if node == but:
                continue
            try:
                found = await asyncio.to_thread(redis_slots.owners, self.ports[node])
            except (redis.RedisError, OSError):
                continue
            return [names.get(port) if port else None for port in found]
        raise TimeoutError("no node of Redis says who has which slot")

    async def leaderships(self) -> dict[str, int]:
        """How many partitions each broker leads."""
        led = dict.fromkeys(CLUSTERS["kafka"], 0)
        metadata = await asyncio.to_thread(self._metadata)
        for topic in metadata.topics.values():
            for partition in topic.partitions.values():
                if f"kafka-{partition.leader}" in led:
                    led[f"kafka-{partition.leader}"] += 1
        return led

    def _metadata(self) -> ClusterMetadata:
        return AdminClient({**self.settings.kafka_client, "log_level": 0}).list_topics(timeout=5)

    # -- back in full -------------------------------------------------------------------------------------------------

    async def whole(self, node: str) -> float:
        """Wait until ``node`` is all that it was: the next one may be killed then. The seconds that took. Raises
        ``TimeoutError``."""
        began = time.monotonic()
        service = node.partition("-")[0]
        is_whole: Mapping[str, Callable[[], object]] = {
            "kafka": self._kafka_whole,
            "redis": self._redis_whole,
            "cassandra": self._cassandra_whole,
        }
        while True:
            try:
                await asyncio.to_thread(is_whole[service])
                return time.monotonic() - began
            except Exception as error:  # whatever it still lacks
                if time.monotonic() - began > _BACK_SECONDS:
                    raise TimeoutError(f"{node} is not back in full: {error}") from error
            await asyncio.sleep(_LOOK_SECONDS)

    def _kafka_whole(self) -> None:
        for name, topic in self._metadata().topics.items():
            for number, partition in topic.partitions.items():
                if len(partition.isrs) < len(partition.replicas):
                    raise TimeoutError(f"{name}-{number} is in sync on {partition.isrs} alone")

    def _redis_whole(self) -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(redis_cluster.node(self.ports[node])) for node in CLUSTERS["redis"]]
            if not redis_cluster.is_whole(clients):
                raise TimeoutError("not every replica has what its master has")

    def _cassandra_whole(self) -> None:
        async def ask() -> None:
            async with await Cassandra.connect(self.settings) as cassandra:
                for _ in range(2 * len(CLUSTERS["cassandra"])):  # each coordinator in turn
                    await cassandra.execute("SELECT * FROM fences LIMIT 1", consistency=ALL)

        try:
            asyncio.run(ask())
        except StoreAway as away:
            raise TimeoutError(str(away)) from away
