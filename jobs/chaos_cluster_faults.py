"""Faults of clusters: one node is taken away under load, and given back; buckets move; all workers are restarted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import redis
from redis.crc import key_slot

from jobs import redis_slots
from jobs.chaos_cluster_stack import ClusterStack
from jobs.chaos_faults import Faults
from jobs.chaos_load import Load
from jobs.chaos_plan import Fault, NotFired
from jobs.chaos_stack import ROOT
from jobs.services.addresses import CLUSTERS

_FAILOVER_SECONDS = 20.0
_MOVED_SHARE = 4
"""One bucket in so many moves, and one at least."""


class ClusterFaults(Faults):
    """As ``Faults``. No fault ends before the node that it took away is back in full: one at a time may be away."""

    def __init__(self, stack: ClusterStack, load: Load, other: Path | None = None) -> None:
        """``other`` is another checkout, to which workers are rolled over, and back; without one they are restarted."""
        super().__init__(stack, load)
        self._nodes = stack
        self._checkouts = [other, None] if other else [None]
        self._rolled = 0
        self._deeds = {
            "kill broker": self._kill_broker,
            "kill redis-master": self._kill_master,
            "freeze redis-master": self._freeze_master,
            "kill cassandra-node": self._kill_cassandra,
            "move buckets": self._move,
            "kill worker": self._kill,
            "roll workers": self._roll,
        }

    async def fire(self, fault: Fault) -> str:
        return await self._deeds[fault.name](fault)

    @asynccontextmanager
    async def _away(self, node: str) -> AsyncIterator[int]:
        """``node`` is killed, away inside the block, and back in full after it; its pid."""
        pid = await self._nodes.kill_and_keep(node)
        try:
            yield pid
        finally:
            await self._nodes.start(node)
        await self._nodes.whole(node)

    async def _kill_broker(self, fault: Fault) -> str:
        node = _one_of(CLUSTERS["kafka"], fault)
        before = await self._nodes.leaderships()
        async with self._away(node) as pid:
            await asyncio.sleep(fault.seconds)
            after = await self._nodes.leaderships()
            began = time.monotonic()
        if not before[node] or after[node]:
            raise NotFired(f"{node} led {before[node]} partitions, and {after[node]} after its death")
        back = time.monotonic() - began
        led = f"others led its {before[node]} partitions"
        return f"{node}, pid {pid}, was killed; {led}; in sync {back:.1f} s after it was started"

    async def _kill_cassandra(self, fault: Fault) -> str:
        node = _one_of(CLUSTERS["cassandra"], fault)
        async with self._away(node) as pid:
            await asyncio.sleep(fault.seconds)
            began = time.monotonic()
        back = time.monotonic() - began
        away = f"was killed, and away for {fault.seconds:.1f} s"
        return f"{node}, pid {pid}, {away}; reads of all replicas {back:.1f} s after it was started"

    async def _kill_master(self, fault: Fault) -> str:
        node, slots = await self._master(fault)
        async with self._away(node) as pid:
            heir, took = await self._succeeded(node, slots)
        return f"{node}, pid {pid}, was killed; {heir} had its {len(slots)} slots after {took:.1f} s"

    async def _freeze_master(self, fault: Fault) -> str:
        node, slots = await self._master(fault)
        pid = await self._nodes.pid(node)
        os.kill(pid, signal.SIGSTOP)
        try:
            heir, took = await self._succeeded(node, slots)
            await asyncio.sleep(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        await self._nodes.whole(node)
        return f"{node}, pid {pid}, stood still; {heir} had its {len(slots)} slots after {took:.1f} s; then it woke"

    async def _master(self, fault: Fault) -> tuple[str, list[int]]:
        """A master that has buckets, and its slots."""
        owners = await self._nodes.redis_owners()
        has_buckets = {owners[slot] for slot in self._bucket_slots()} - {None}
        node = _one_of(sorted(name for name in has_buckets if name), fault)
        return node, [slot for slot, owner in enumerate(owners) if owner == node]

    async def _succeeded(self, node: str, slots: list[int]) -> tuple[str, float]:
        """Who has ``slots`` instead of ``node``, and after how long."""
        began = time.monotonic()
        while time.monotonic() - began < _FAILOVER_SECONDS:
            owners = await self._nodes.redis_owners(but=node)
            heirs = {owners[slot] for slot in slots}
            if len(heirs) == 1 and (heir := heirs.pop()) not in (None, node):
                return str(heir), time.monotonic() - began
            await asyncio.sleep(0.05)
        raise NotFired(f"no replica took over from {node} in {_FAILOVER_SECONDS:.0f} s")

    async def _move(self, fault: Fault) -> str:
        chance = Random(fault.seed)  # noqa: S311 - what can be had again
        owners = await self._nodes.redis_owners()
        masters = Counter(owner for owner in owners if owner)
        slots = self._bucket_slots()
        told, keys = [], 0
        for slot in chance.sample(slots, max(1, len(slots) // _MOVED_SHARE)):
            source = owners[slot]
            if source is None:
                raise NotFired(f"nobody has slot {slot}")
            target = chance.choice(sorted(set(masters) - {source}))
            keys += await asyncio.to_thread(self._moved, slot, source, target)
            told.append(f"{slots.index(slot)} from {source} to {target}")
        if not keys:
            raise NotFired("the buckets were empty")
        return f"{keys} keys moved, of buckets {', '.join(told)}"

    def _moved(self, slot: int, source: str, target: str) -> int:
        ports = self._nodes.ports
        try:
            return redis_slots.move([slot], ports[source], ports[target], redis_slots.masters(ports[source]))
        except redis.RedisError as error:
            raise NotFired(f"slot {slot} did not move: {error}") from error

    def _bucket_slots(self) -> list[int]:
        """Of each bucket."""
        return [key_slot(b"{%d}" % bucket) for bucket in range(self._nodes.settings.buckets)]

    async def _roll(self, fault: Fault) -> str:
        checkout = self._checkouts[self._rolled % len(self._checkouts)]
        self._rolled += 1
        began = time.monotonic()
        where = await asyncio.to_thread(_agents_at, checkout or ROOT)
        slots = sorted(self._nodes.slots)
        for slot in slots:
            await self._nodes.roll(slot, checkout)
        return f"{', '.join(slots)} restarted one after the other in {time.monotonic() - began:.0f} s, from {where}"


def _one_of(names: tuple[str, ...] | list[str], fault: Fault) -> str:
    return Random(fault.seed).choice(names)  # noqa: S311 - a victim that can be had again


def _agents_at(checkout: Path) -> Path:
    """The checkout that a worker runs which is told to run this one. Raises ``NotFired`` where it is another."""
    asked = [sys.executable, "-c", "import agents; print(agents.__file__)"]
    answer = subprocess.run(  # noqa: S603
        asked, env={**os.environ, "PYTHONPATH": str(checkout)}, cwd="/", capture_output=True, text=True, check=False
    )
    found = Path(answer.stdout.strip() or "/").parent.parent
    if found != checkout.resolve():
        raise NotFired(f"{checkout} holds no agents of its own: they come from {found}")
    return found
