"""Is it alive, and can it work?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

from fastapi import APIRouter, Request, Response
from starlette.datastructures import State

from api.models import Liveness, Readiness
from api.stores import Opened, Stores
from sinks.errors import StoreAway
from sinks.producer import TopicMissing
from sinks.redis import reaching_redis

router = APIRouter(tags=["health"])

SECONDS = 3.0


def serves(there: Mapping[str, bool]) -> bool:
    """Whether a gateway that reaches these stores answers feeds: from Cassandra, or from Redis while the log says what
    has changed. All gateways share the stores: where one is away, to send a gateway no requests would only end what
    goes on without it."""
    return there["cassandra"] or (there["redis"] and there["kafka"])


@router.get("/healthz")
async def check_liveness() -> Liveness:
    """The gateway runs; says nothing of its stores."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "So many stores are away that feeds are."}})
async def check_readiness(request: Request, response: Response, stores: Opened) -> Readiness:
    """Whether the gateway can answer feeds, and which stores are there.

    One store that is away is said, and no reason to send it no requests: all gateways share the stores. Without
    Cassandra, it takes both Redis and Kafka. The answer takes 3 s at most.
    """
    pings: dict[str, Awaitable[object]] = {
        "kafka": _ask_kafka(request.app.state, stores),
        "cassandra": stores.cassandra.execute("SELECT release_version FROM system.local"),
        "redis": _ping_redis(stores),
        "objects": stores.objects.ping(),
    }
    answers = dict(zip(pings, await asyncio.gather(*map(_answers, pings.values())), strict=True))
    ready = serves(answers)
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    response.headers["Cache-Control"] = "no-store"
    return Readiness(ready=ready, stores=answers)


def _ask_kafka(state: State, stores: Stores) -> Awaitable[object]:
    # One question at a time: a Kafka that is silent holds a thread with each, and searches need these threads.
    asked: asyncio.Future[dict[str, str]] | None = getattr(state, "kafka_asked", None)
    if asked is None or asked.done():
        asked = state.kafka_asked = asyncio.create_task(asyncio.to_thread(stores.topics.ids))
        asked.add_done_callback(_is_heard)
    return asyncio.shield(asked)


def _is_heard(asked: asyncio.Future[dict[str, str]]) -> None:
    # Whoever waited for it may have gone: asyncio would log its failure as one that nobody took.
    if not asked.cancelled():
        asked.exception()


async def _ping_redis(stores: Stores) -> None:
    async with reaching_redis():
        await stores.redis.ping()


async def _answers(ping: Awaitable[object]) -> bool:
    try:
        await asyncio.wait_for(ping, SECONDS)
    except (StoreAway, TopicMissing, TimeoutError):
        return False
    return True
