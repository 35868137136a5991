"""Is it alive, and can it work?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Response

from api.models import Liveness, Readiness
from api.stores import Opened, Stores
from sinks.errors import StoreAway
from sinks.producer import TopicMissing
from sinks.redis import reaching_redis

router = APIRouter(tags=["health"])

SECONDS = 3.0
SPARED = frozenset({"redis"})
"""Stores whose absence is said, and no reason to send a gateway no requests."""


@router.get("/healthz")
async def check_liveness() -> Liveness:
    """The gateway runs; says nothing of its stores."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A store is away."}})
async def check_readiness(response: Response, stores: Opened) -> Readiness:
    """Whether every store answers that the gateway cannot do without.

    Without Redis it can: feeds come from Cassandra, and each gateway counts writes by itself.
    """
    pings: dict[str, Awaitable[object]] = {
        "kafka": asyncio.to_thread(stores.topics.ids),
        "cassandra": stores.cassandra.execute("SELECT release_version FROM system.local"),
        "redis": _ping_redis(stores),
        "objects": stores.objects.ping(),
    }
    answers = dict(zip(pings, await asyncio.gather(*map(_answers, pings.values())), strict=True))
    ready = all(answer for name, answer in answers.items() if name not in SPARED)
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    response.headers["Cache-Control"] = "no-store"
    return Readiness(ready=ready, stores=answers)


async def _ping_redis(stores: Stores) -> None:
    async with reaching_redis():
        await stores.redis.ping()


async def _answers(ping: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(ping, SECONDS)
    except (StoreAway, TopicMissing, TimeoutError):
        return False
    return True
