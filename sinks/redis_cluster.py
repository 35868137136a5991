"""A Redis Cluster, spoken to as if it were one Redis: each command goes to the master that has its key.

Own code, and not redis-py's ``RedisCluster``, for three reasons. That one repeats by itself what may have been done
already. Its pipelines keep no order within a bucket once a slot has moved, and readers rely on it: a fence that is read
after its timeline says of posts that they are in it. And all our calls are packed commands and scripts, for which its
pipelines take several times as long as ``exchange``.

A slot that is being moved is away until it is moved: scripts name one key and use others of its bucket, some of which
are here then and some there. Redis refuses a script that asks for one that is not here; sinks/lua/fenced.lua asks for
one that never is before it writes anything.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast
from urllib.parse import urlsplit

from redis.asyncio.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from sinks.redis_addresses import SLOTS, Address, nodes_of, owners_in
from sinks.redis_connections import Command, Redis, connect_one, exchange_with

_EVERYWHERE = frozenset({"PING", "SCRIPT LOAD", "FLUSHDB", "DBSIZE"})
"""Commands without a key: said to every master. Of ``DBSIZE`` the sum is answered, else what the first one says."""
_EACH_KEY = frozenset({"DEL", "UNLINK"})
"""Commands with any number of keys, said of each alone."""
_PAUSE_SECONDS = 0.02
_LOOK_SECONDS = 1.0
"""A node that does not say in this time who has which slot is not waited for: others know as well."""
_SCANNED_AT_ONCE = 1024
"""More masters than a cluster has: a cursor of SCAN is the node's own times this, plus the node's place."""
_MOVING = "attempted to access a non local key"


class RedisCluster(Redis):
    """A client of a cluster; made by ``at``. It has the commands of the client of one Redis, and ``exchange``."""

    _named: list[str]
    _seconds: float
    _nodes: dict[Address, Redis]
    _owners: list[Address | None]
    _stale: bool
    _learning: asyncio.Lock

    @classmethod
    def at(cls, url: str, seconds: float) -> Self:
        """The cluster at ``url``; see ``sinks.redis.connect``. Raises ``ValueError`` for a URL that names none."""
        named = nodes_of(url)
        client = cast(Self, connect_one(named[0], seconds, cls))
        client._named, client._seconds = named, seconds
        client._nodes, client._owners, client._stale = {}, [None] * SLOTS, True
        client._learning = asyncio.Lock()
        return client

    # -- commands -----------------------------------------------------------------------------------------------------

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        name = str(args[0])
        if name in _EVERYWHERE:
            answers = await self._everywhere(_words(args))
            answer = sum(answers) if name == "DBSIZE" else answers[0]
        elif name == "SCAN":
            answer = await self._scanned(int(args[1]), args[2:])
        elif name in _EACH_KEY:
            answer = sum(await self.exchange([(name, key) for key in args[1:]]))
        else:
            (answer,) = await self.exchange([_words(args)])
        return self.parsed(args, options, answer)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands said at once, in order for each bucket. There are no transactions over a cluster."""
        if transaction:
            raise ValueError("a cluster has no transaction over several nodes: pipeline(transaction=False)")
        return _ClusterPipeline(self)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        for node in self._nodes.values():
            await node.aclose(close_connection_pool)
        await super().aclose(close_connection_pool)

    def parsed(self, args: Sequence[Any], options: Mapping[str, Any], answer: Any) -> Any:
        """``answer`` as redis-py words it; raises one that is an error."""
        if isinstance(answer, Exception):
            raise answer
        callback = self.response_callbacks.get(args[0])
        known = {name: value for name, value in options.items() if name != "keys"}
        return callback(answer, **known) if callback else answer

    # -- many at once -------------------------------------------------------------------------------------------------

    async def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to ``commands``, one round trip to each node that has any of them; errors stand among them.

        Commands of one slot are done in order; those of one node too, until a slot moves. Where any command of a slot
        was refused because the slot is elsewhere, or on its way, all of that slot are said again, so that none is done
        before those that stand before it. What has several writes of one bucket in a call must bear that, as it has to
        bear being repeated after an error. Raises, once all are through, what kept a node from answering; and
        ``TryAgainError`` for a slot that took too long to move.
        """
        answers: list[Any] = [None] * len(commands)
        rest: dict[int, list[int]] = {}
        for number, command in enumerate(commands):
            rest.setdefault(key_slot(_key(command)), []).append(number)
        deadline = asyncio.get_running_loop().time() + self._seconds
        pausing = False
        while True:
            await self._ask_owners(commands, rest, answers)
            rest = {slot: numbers for slot, numbers in rest.items() if any(_is_refused(answers[n]) for n in numbers)}
            if not rest:
                return answers
            if asyncio.get_running_loop().time() > deadline:
                raise TryAgainError(f"slots {sorted(rest)} are on their way from one node to another")
            self._follow([answers[n] for numbers in rest.values() for n in numbers])
            if pausing:  # not after the first: who has only just moved is asked at its new place at once
                await asyncio.sleep(_PAUSE_SECONDS)
            pausing = True

    def _follow(self, answers: Sequence[Any]) -> None:
        """Who refuses a command may say who has its slot."""
        for answer in answers:
            if isinstance(answer, MovedError):
                if answer.host:
                    self._owners[answer.slot_id] = Address(answer.host, answer.port)
                else:
                    self._stale = True

    async def _ask_owners(self, commands: Sequence[Command], wanted: Mapping[int, list[int]], into: list[Any]) -> None:
        if self._stale:
            await self._learn()
        by_node: dict[Address, list[int]] = {}
        for slot, numbers in wanted.items():
            owner = self._owners[slot]
            if owner is None:
                self._stale = True
                raise ClusterDownError(f"nobody has slot {slot}")
            by_node.setdefault(owner, []).extend(numbers)
        for numbers in by_node.values():
            numbers.sort()
        asked = [self._ask(address, [commands[n] for n in numbers]) for address, numbers in by_node.items()]
        found = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked, return_exceptions=True)
        for numbers, replies in zip(by_node.values(), found, strict=True):
            if isinstance(replies, BaseException):
                raise replies
            for number, reply in zip(numbers, replies, strict=True):
                into[number] = reply

    async def _ask(self, address: Address, commands: Sequence[Command]) -> list[Any]:
        """The replies of one node. Who cannot be reached, or is no master any more, may have been replaced."""
        try:
            replies = await exchange_with(self._node(address), commands)
        except Exception:
            self._stale = True
            raise
        if any(isinstance(reply, ReadOnlyError | ClusterDownError) for reply in replies):
            self._stale = True
        return replies

    async def _everywhere(self, command: Command) -> list[Any]:
        """The replies of all masters. Raises the first error."""
        replies = await asyncio.gather(*(self._ask(master, [command]) for master in await self._masters()))
        for (reply,) in replies:
            if isinstance(reply, Exception):
                raise reply
        return [reply for (reply,) in replies]

    async def _scanned(self, cursor: int, terms: Sequence[Any]) -> list[Any]:
        """One step of SCAN through all masters, one after the other: a key is found that is not moved meanwhile."""
        own, place = divmod(cursor, _SCANNED_AT_ONCE)
        masters = await self._masters()
        if place >= len(masters):
            return [b"0", []]
        (reply,) = await self._ask(masters[place], [("SCAN", own, *terms)])
        if isinstance(reply, Exception):
            raise reply
        after = int(reply[0]) * _SCANNED_AT_ONCE + place
        if not int(reply[0]):
            after = place + 1 if place + 1 < len(masters) else 0
        return [str(after).encode(), reply[1]]

    # -- who has what -------------------------------------------------------------------------------------------------

    async def node_of(self, key: bytes) -> Redis:
        """A client of the master that has ``key``. Raises ``ClusterDownError``, ``ConnectionError``."""
        if self._stale:
            await self._learn()
        owner = self._owners[key_slot(key)]
        if owner is None:
            raise ClusterDownError(f"nobody has the slot of {key!r}")
        return self._node(owner)

    def doubt(self) -> None:
        """Ask anew who has which slot, before the next call."""
        self._stale = True

    async def _masters(self) -> list[Address]:
        """Who has slots, in the order of these, so that a successor stands where the master before it stood."""
        if self._stale:
            await self._learn()
        masters = list(dict.fromkeys(owner for owner in self._owners if owner is not None))
        if not masters:
            raise ClusterDownError("nobody has any slots")
        return masters

    def _node(self, address: Address) -> Redis:
        node = self._nodes.get(address)
        if node is None:
            parts = urlsplit(self._named[0])
            credentials, at, _ = parts.netloc.rpartition("@")
            url = parts._replace(netloc=f"{credentials}{at}{address}").geturl()
            node = self._nodes[address] = connect_one(url, self._seconds)
        return node

    async def _learn(self) -> None:
        """Ask who has which slot: the nodes that are known, in no order, then those that the URL names."""
        async with self._learning:
            if not self._stale:
                return
            named = [Address(parts.hostname or "", parts.port or 0) for parts in map(urlsplit, self._named)]
            known = [*self._nodes]
            random.shuffle(known)
            failures: list[str] = []
            for address in dict.fromkeys([*known, *named]):
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        (reply,) = await exchange_with(self._node(address), [("CLUSTER", "SLOTS")])
                except (ConnectionError, OSError, ResponseError) as error:
                    failures.append(f"{address}: {error}")
                    continue
                if isinstance(reply, Exception):
                    failures.append(f"{address}: {reply}")
                    continue
                self._owners = owners_in(reply, address)
                self._stale = False
                return
            raise ConnectionError(f"no node of the cluster says who has which slot: {'; '.join(failures)}")


class _ClusterPipeline(Pipeline):
    def __init__(self, cluster: RedisCluster) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, False, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = self.command_stack
        try:
            answers = await self._cluster.exchange([_words(args) for args, _ in stack])
        finally:
            await self.reset()  # type: ignore[no-untyped-call] # begins another stack
        if raise_on_error:
            self.raise_first_error(stack, answers)
        return [
            answer if isinstance(answer, Exception) else self._cluster.parsed(args, options, answer)
            for (args, options), answer in zip(stack, answers, strict=True)
        ]


def _is_refused(answer: Any) -> bool:
    """Whether nothing was done, for where the slot is."""
    if isinstance(answer, AskError | TryAgainError):  # MOVED is an ASK to redis-py
        return True
    return isinstance(answer, ResponseError) and _MOVING in str(answer)


def _words(args: Sequence[Any]) -> Command:
    """A command of redis-py's, whose name may be two words."""
    return (*str(args[0]).split(), *args[1:])


def _key(command: Command) -> bytes:
    """The first key of ``command``: where it has to be said."""
    place = 1
    if command[0] in ("EVALSHA", "EVAL"):
        place = 3
    elif command[0] in ("MEMORY", "OBJECT"):
        place = 2
    key = command[place]
    return key if isinstance(key, bytes) else str(key).encode()
