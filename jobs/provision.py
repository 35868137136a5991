"""Everything that has to exist before the first event: object store, topics, keyspace, tables, registered schemas."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sinks.cassandra import Cassandra, KeyspaceMissing
from sinks.object_store import ObjectStore
from sinks.registry import register
from sinks.settings import Settings
from sinks.topics import Topics
from sinks.view_tables import apply_ddl


class Provisioned(NamedTuple):
    """What ``provision`` made, or would make: topics by their names in the design, and whether the keyspace."""

    topics: list[str]
    keyspace: bool

    def lines(self, dry_run: bool) -> list[str]:
        """For people."""
        verb = "would make" if dry_run else "made"
        lines = [f"{verb} topic {topic}" for topic in self.topics]
        if self.keyspace:
            lines.append(f"{verb} the keyspace")
        return lines or ["everything is there"]


def provision(settings: Settings, *, dry_run: bool = False) -> Provisioned:
    """Make what is missing and leave what is there; may run at any time, any number of times.

    Raises ``StoreAway``, ``TopicsUnfit`` and ``RegistryRefused``. Topics come first: they are what can be unfit.
    """
    topics = Topics(settings)
    if not dry_run and topics.provision(dry_run=True):
        ObjectStore.make(settings)  # before the topics, by whose absence a new world is known
    made = topics.provision(dry_run)
    return Provisioned(made, asyncio.run(_tables(settings, dry_run)))


async def _tables(settings: Settings, dry_run: bool) -> bool:
    """Make the tables and register the schemas; whether the keyspace was missing."""
    missing = False
    try:
        async with await Cassandra.connect(settings):
            pass
    except KeyspaceMissing:
        missing = True
    if not dry_run:
        async with await Cassandra.connect(settings, create_keyspace=True) as cassandra:
            await apply_ddl(cassandra)
        await register(settings)
    return missing
