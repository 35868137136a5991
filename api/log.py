"""Saying events: the one way in which the gateway writes to the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from api.consistency import HEADER
from api.stores import Opened, Stores
from schemas.events import Event
from sinks import consistency
from streams.records import TopicPartition


def now_ms() -> int:
    """The gateway's clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


class Log:
    """Says events on behalf of one request, and puts the consistency token on its answer."""

    def __init__(self, stores: Stores, response: Response, trace_id: str) -> None:
        self._stores = stores
        self._response = response
        self._trace_id = trace_id

    def by(self, actor_id: int, *, event_id: int | None = None, at: int | None = None) -> dict[str, Any]:
        """What every event of ``actor_id`` carries. A retry brings the first try's ``event_id`` and ``at``."""
        return {
            "event_id": self._stores.snowflakes.next() if event_id is None else event_id,
            "at": now_ms() if at is None else at,
            "actor_id": actor_id,
            "trace_id": self._trace_id,
        }

    async def say(self, event: Event) -> str:
        """Append ``event``; returns its consistency token once the broker has acknowledged. Raises ``StoreAway``."""
        tp, offset = await self._stores.producer.produce(event)
        token = consistency.format({tp: offset})
        self._response.headers[HEADER] = token
        return token

    async def say_all(self, events: Sequence[Event]) -> None:
        """Append ``events`` in their order; nothing for none. Raises ``StoreAway``, and then some may be in the log."""
        if events:
            latest: dict[TopicPartition, int] = {}
            for tp, offset in await self._stores.producer.produce_many(events):
                latest[tp] = max(offset, latest.get(tp, -1))
            self._response.headers[HEADER] = consistency.format(latest)

    async def say_together(self, events: Sequence[Event]) -> str:
        """Append ``events``, all or none; as ``say`` otherwise."""
        self._stores.producer.check()
        token = consistency.format(dict(await self._stores.transactions.say(events)))
        self._response.headers[HEADER] = token
        return token


def _log(request: Request, response: Response, stores: Opened) -> Log:
    return Log(stores, response, request.scope["state"]["trace_id"])


Said = Annotated[Log, Depends(_log)]
"""The log, in a route."""
