"""The saga's memory in Cassandra remembers what the one in memory does."""

from __future__ import annotations

import random
from typing import Any

from schemas.events import (
    Blocked,
    Followed,
    FollowRejected,
    FollowRequested,
    PostLiked,
    PostUnliked,
    PrivacyChanged,
    Unfollowed,
)
from sinks.cassandra import Cassandra
from sinks.saga import Memory, SagaMemory, settle
from streams.saga import SAGA, Seen
from tests.streams.saga_memory import MemoryInMemory
from tests.streams.test_saga import FAN, OTHER, STAR, World, block, like, pair, privacy

KEYS = [(a, b) for a in (STAR, FAN, OTHER) for b in (STAR, FAN, OTHER) if a != b]


async def test_it_remembers_what_the_one_in_memory_does(cassandra: Cassandra) -> None:
    rng, world = random.Random(5), World()
    choices: list[Any] = [
        *(lambda kind=kind: [pair(kind, *rng.sample([STAR, FAN, OTHER], 2))] for kind in (Followed, FollowRequested)),
        lambda: [pair(FollowRequested, *rng.sample([STAR, FAN, OTHER], 2), follows=True)],
        lambda: [pair(FollowRejected, *rng.sample([STAR, FAN, OTHER], 2), by=STAR)],
        lambda: [pair(Unfollowed, *rng.sample([STAR, FAN, OTHER], 2))],
        lambda: [privacy(rng.random() < 0.6, rng.choice([STAR, FAN]))],
        lambda: block(Blocked, *rng.sample([STAR, FAN, OTHER], 2)) if rng.random() < 0.2 else [],
        lambda: [like(rng.choice([PostLiked, PostUnliked]), *rng.sample([STAR, FAN, OTHER], 2))],
    ]
    for _ in range(120):
        world.say(*rng.choice(choices)())
    records = [record for records in world.log.records.values() for record in records]
    batches = [SAGA.project(records[at : at + 30]) for at in range(0, len(records), 30)]
    kept, stored = MemoryInMemory(), SagaMemory(cassandra)
    # An old batch comes once more, late.
    for batch in [*batches, batches[0], batches[2]]:
        for memory in (kept, stored):
            await settle(memory, batch)
        assert await told(stored, batch) == await told(kept, batch)


async def told(memory: Memory, batch: list[Seen]) -> object:
    known = await memory.known(batch)
    asked = {one.event.user_id for one in batch if isinstance(one.event, PrivacyChanged)}
    waiting = {user: known.waiting.get(user, set()) for user in asked}
    pairs, likes = await memory.pairs(KEYS), await memory.likes(KEYS)
    return {user: known.privacy.get(user) for user in asked}, waiting, pairs, likes
