"""A Redis Cluster: whatever moves from node to node, and whoever dies, the views are what they were on one Redis."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot
from redis.exceptions import ResponseError

from jobs import redis_slots
from jobs.services import addresses, probes, redis_cluster
from jobs.services.home import Home
from schemas.ids import MIN_ID
from sinks.counters import CounterSink, prefix_of
from sinks.counters_reader import CounterReader
from sinks.errors import FenceBehind, StoreAway
from sinks.home_feed_buckets import STATE, Call, RedisBuckets, Timeline, packed
from sinks.redis import RedisCluster, connect, exchange
from sinks.redis_addresses import nodes_of
from sinks.redis_bulk import Commands, send, word
from sinks.redis_keys import GenerationKeys
from sinks.throttles import Allowance, Throttles
from streams.counters import LIKES, CountMembers
from streams.records import Span, TopicPartition
from streams.views import Mark

ENGAGEMENT, POSTS = TopicPartition("engagement", 0), TopicPartition("posts", 0)
TOPIC_IDS = {"engagement": "E", "posts": "P"}
BUCKETS = 6
PATIENCE_SECONDS = 60.0


class Nodes:
    """Three masters, and a replica of the first one, which takes over after ``timeout_ms`` and a second."""

    def __init__(self, folder: Path, timeout_ms: int) -> None:
        home = Home.at(folder)
        home.create()
        drawn: list[int] = []
        for _ in range(8):
            drawn.append(addresses.draw(drawn))
        self.ports = drawn[:4]
        nodes = list(zip(self.ports, drawn[4:], strict=True))
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for number, (port, bus_port) in enumerate(nodes):
            command = redis_cluster.program(home, f"redis-{number}", port, bus_port, timeout_ms).command
            with home.log(f"redis-{number}").open("wb") as log:
                self.processes[port] = subprocess.Popen(command, stdout=log, stderr=log)
        for port in self.ports:
            while not probes.finding(lambda at=port: probes.redis_server(f"redis://127.0.0.1:{at}"))[0]:  # type: ignore[misc]
                assert self.processes[port].poll() is None, home.log(f"redis-{self.ports.index(port)}").read_text()
        redis_cluster.form(nodes)

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in reversed(self.ports))

    def kill(self, port: int) -> None:
        self.processes[port].kill()
        self.processes[port].wait()

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def lasting_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path_factory.mktemp("cluster"), 10_000)  # nobody is to take over on a busy machine
    yield nodes
    nodes.end()


@pytest.fixture
async def cluster(lasting_nodes: Nodes) -> AsyncIterator[RedisCluster]:
    """A client of an empty cluster."""
    async with connect(lasting_nodes.url) as client:
        assert isinstance(client, RedisCluster)
        await client.flushdb()
        yield client


class World:
    """The counters in the cluster, and one post in each bucket that everybody comes to like."""

    def __init__(self, cluster: RedisCluster) -> None:
        self.sink = CounterSink(cluster, TOPIC_IDS, generation=1, buckets=BUCKETS)
        self.reader = CounterReader(cluster, generation=1, buckets=BUCKETS)
        self.posts = [MIN_ID + 7919 * n for n in range(40)]
        self.reached = -1

    async def like(self, people: int) -> None:
        """So many more people like each post."""
        writes = [
            CountMembers(Mark(ENGAGEMENT, offset), LIKES, post, {MIN_ID + offset: (offset, True)})
            for offset in range(self.reached + 1, self.reached + 1 + people)
            for post in self.posts
        ]
        spans = {ENGAGEMENT: Span(self.reached, self.reached + people), POSTS: Span(-1, -1)}
        await self.sink.apply(writes, spans)
        self.reached += people

    async def totals(self) -> set[int]:
        return {found.total for found in (await self.reader.likes(self.posts, None)).values()}

    async def like_at_last(self, people: int) -> int:
        """The same, said again as long as Redis is away; how often it was."""
        refused = 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await self.like(people)
                    return refused
                except StoreAway:
                    refused += 1
                    await asyncio.sleep(0.02)


async def test_every_command_comes_to_who_has_its_key(cluster: RedisCluster, lasting_nodes: Nodes) -> None:
    names = [f"hf1:{{{n}}}:t:{n}" for n in range(60)]
    assert len({redis_slots.owners(lasting_nodes.ports[0])[key_slot(name.encode())] for name in names}) == 3
    pipeline = cluster.pipeline(transaction=False)
    for n, name in enumerate(names):
        pipeline.rpush(name, n, n + 1)
        pipeline.lrange(name, 0, -1)
    assert await pipeline.execute() == [each for n in range(60) for each in (2, [b"%d" % n, b"%d" % (n + 1)])]
    assert await exchange(cluster, [("LLEN", name) for name in names]) == [2] * 60
    assert await cluster.dbsize() == 60
    assert sorted([key async for key in cluster.scan_iter(match="hf1:{*}:t:*", count=3)]) == sorted(
        name.encode() for name in names
    )
    assert (await GenerationKeys(cluster, "hf1:").size()).keys == 60
    assert await GenerationKeys(cluster, "hf1:").unlink() == 60
    await cluster.set("a", 1)
    await cluster.set("b", 2)
    assert await cluster.unlink("a", "b", "c") == 2
    assert await cluster.zadd("seen:{5}", {"1": 5.0}, gt=True) == 1
    assert await cluster.zrange("seen:{5}", 0, -1, withscores=True) == [(b"1", 5.0)]
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await cluster.get("seen:{5}")
    assert await Throttles(cluster).take("somebody", Allowance(1, 0.001)) == 0
    assert await Throttles(cluster).take("somebody", Allowance(1, 0.001)) > 0


async def test_packed_commands_go_to_the_node_of_their_bucket(cluster: RedisCluster) -> None:
    def chunks() -> Iterator[Any]:
        made = Commands()
        for n in range(40):
            for m in range(2):
                made.add_packed(b"RPUSH", b"hf1:{%d}:h:%d" % (n, m), 2, word(b"1") + word(b"2"))
                made.weigh(2)
            yield made.take()

    weights: list[int] = []
    await send(cluster, chunks(), weights.append)
    assert sum(weights) == 160
    assert await cluster.dbsize() == 80


async def test_scripts_are_loaded_again_on_the_node_that_forgot_them(
    cluster: RedisCluster, lasting_nodes: Nodes
) -> None:
    world = World(cluster)
    await world.like(3)
    for port in lasting_nodes.ports[1:3]:
        with redis_cluster.node(port) as node:
            node.script_flush()
    await world.like(4)
    assert await world.totals() == {7}


async def test_buckets_move_between_masters_under_load(cluster: RedisCluster, lasting_nodes: Nodes) -> None:
    """At each moment everybody is counted once: also where half of a bucket's keys are here, and half there."""
    world = World(cluster)
    await world.like(300)
    slots = sorted({key_slot(prefix_of(1, bucket).encode()) for bucket in range(BUCKETS)})
    known = redis_slots.masters(lasting_nodes.ports[0])
    going = asyncio.Event()
    seen: list[set[int]] = []

    async def live() -> None:
        while not going.is_set():
            await world.like_at_last(2)
            try:
                seen.append(await world.totals())
            except StoreAway:
                continue

    living = asyncio.create_task(live())
    moved = 0
    for slot in slots:
        source = redis_slots.owners(lasting_nodes.ports[0])[slot]
        assert source is not None
        target = next(port for port in known if port != source)
        moved += await asyncio.to_thread(redis_slots.move, [slot], source, target, known)
    going.set()
    await living
    assert moved > len(slots) * 5
    assert seen
    assert all(len(totals) == 1 for totals in seen)
    assert await world.totals() == {world.reached + 1}


async def test_nobody_writes_half_a_bucket(cluster: RedisCluster, lasting_nodes: Nodes) -> None:
    """What Redis itself refuses in the middle of a script is not undone: so nothing is begun while a slot moves."""
    port, slot = lasting_nodes.ports[0], key_slot(b"{0}")
    known = redis_slots.masters(port)
    source = redis_slots.owners(port)[slot]
    assert source is not None
    target = next(other for other in known if other != source)
    author, post = str(MIN_ID), str(MIN_ID + 1)
    published = Call(0, STATE, {POSTS: Span(-1, 0)}, (), [packed(("T", 1, 0, author, post))])
    deleted = Call(0, STATE, {POSTS: Span(0, 1)}, (), [packed(("X", 1, 1, author, post))])
    async with connect(lasting_nodes.url, seconds=0.2) as hurried:
        buckets = RedisBuckets(hurried, TOPIC_IDS, generation=1, buckets=1, cap=5, slack=2)
        await buckets.call([published])
        with redis_cluster.node(source) as giver, redis_cluster.node(target) as taker:
            redis_cluster.say(taker, "SETSLOT", slot, "IMPORTING", known[source])
            redis_cluster.say(giver, "SETSLOT", slot, "MIGRATING", known[target])
            with pytest.raises(StoreAway, match="on their way"):
                await buckets.call([deleted])  # the timeline is here, and the set of what is deleted nowhere yet
            redis_cluster.say(taker, "SETSLOT", slot, "STABLE")
            redis_cluster.say(giver, "SETSLOT", slot, "STABLE")
        field = str(POSTS)
        assert await buckets.timelines([(0, int(author), field)]) == [Timeline(0, "", [post])]
        await buckets.call([deleted])
        assert await buckets.timelines([(0, int(author), field)]) == [Timeline(1, "", [])]


async def test_a_replica_takes_over_and_what_it_lacks_is_noticed(tmp_path: Path) -> None:
    """Replication is asynchronous: what the dead master had acknowledged and its replica never got is behind the
    fence that the agent knows."""
    nodes = Nodes(tmp_path, 1500)
    try:
        async with connect(nodes.url) as client:
            assert isinstance(client, RedisCluster)
            world = World(client)
            await world.like(5)
            with redis_cluster.node(nodes.ports[0]) as master, redis_cluster.node(nodes.ports[3]) as replica:
                master.wait(1, 5000)
                replica.config_set("masterauth", "wrong")
                master.config_set("requirepass", "so that the replica is not let in again")
                master.execute_command("CLIENT", "KILL", "TYPE", "replica")
            await world.like(5)
            nodes.kill(nodes.ports[0])
            with pytest.raises(StoreAway):
                await world.like(1)
            well, said = probes.finding(lambda: probes.redis_server(nodes.url))
            assert well or "are served by nobody" in said
            with pytest.raises(FenceBehind) as behind:
                await world.like_at_last(1)
            assert behind.value.positions[ENGAGEMENT] == 4
            world.reached = 4
            await world.like_at_last(6)  # again what is lost, and what the other buckets have had already
            assert await world.totals() == {11}
            assert probes.redis_server(nodes.url).endswith("3 masters of 4 nodes")
    finally:
        nodes.end()


def test_the_url_of_a_cluster_names_its_nodes() -> None:
    assert nodes_of("rediss+cluster://u:p@a:1,b:2/0?x=1") == ["rediss://u:p@a:1/0?x=1", "rediss://u:p@b:2/0?x=1"]
    for wrong, why in (("redis+cluster://a,b:1", "host:port"), ("redis+cluster://a:1/3", "database 0")):
        with pytest.raises(ValueError, match=why):
            nodes_of(wrong)


def test_stopped_nodes_end(lasting_nodes: Nodes) -> None:
    """A node ends when it is told to: `down` waits for it."""
    port = lasting_nodes.ports[3]
    os.kill(lasting_nodes.processes[port].pid, signal.SIGTERM)
    assert lasting_nodes.processes[port].wait(10) == 0
