"""Buckets on their way from one master of a Redis Cluster to another, while everything goes on.

Whoever asks for the bucket meanwhile is told so by Redis, and waits; see sinks/redis_cluster.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import redis

from jobs.services.redis_cluster import node, say
from sinks.redis_addresses import SLOTS, Address, owners_in

_AT_ONCE = 200
"""Keys in one step, which holds both masters for some milliseconds."""
_MIGRATE_MS = 10_000
_LOCAL = Address("127.0.0.1", 0)


def masters(port: int) -> dict[int, str]:
    """The port and the id of each master that has slots, as the node at ``port`` knows it."""
    found: dict[int, str] = {}
    with node(port) as client:
        for _first, _last, master, *_ in _slots(client):
            found[int(master[1])] = master[2].decode()
    return found


def owners(port: int) -> list[int | None]:
    """The port of the master of each slot, as the node at ``port`` knows it."""
    with node(port) as client:
        found: list[int | None] = [owner.port if owner else None for owner in owners_in(_slots(client), _LOCAL)]
    return found


def move(slots: Iterable[int], source: int, target: int, known: Mapping[int, str]) -> int:
    """Move ``slots`` from the master at port ``source`` to the one at ``target``; how many keys went along. ``known``
    are all ``masters``. Blocks. Raises ``redis.RedisError``; a slot that was begun is on its way then, and can be
    moved again."""
    moved = 0
    with ExitStack() as stack:
        clients = {port: stack.enter_context(node(port)) for port in known}
        giver, taker = clients[source], clients[target]
        for slot in slots:
            if not 0 <= slot < SLOTS:
                raise ValueError(f"there is no slot {slot}")
            say(taker, "SETSLOT", slot, "IMPORTING", known[source])
            say(giver, "SETSLOT", slot, "MIGRATING", known[target])
            while keys := say(giver, "GETKEYSINSLOT", slot, _AT_ONCE):
                giver.execute_command("MIGRATE", "127.0.0.1", target, "", 0, _MIGRATE_MS, "KEYS", *keys)
                moved += len(keys)
            # Who takes it first, so that at no time nobody has it.
            for client in (taker, giver, *(one for one in clients.values() if one not in (taker, giver))):
                say(client, "SETSLOT", slot, "NODE", known[target])
    return moved


def _slots(client: redis.Redis) -> Any:
    """``CLUSTER SLOTS`` as the node words it."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        return connection.read_response()
    finally:
        client.connection_pool.release(connection)
