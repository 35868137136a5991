"""That somebody looked for something, as an event: said beside the answer, which neither waits for the log nor fails
with it. Only who is logged in is said to search, once for each list and not for each of its pages; what they looked for
is sealed under their key, and goes with it."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from schemas.events import Searched
from sinks.beside import Errands
from sinks.errors import StoreAway
from sinks.sealing import seal

if TYPE_CHECKING:
    from api.stores import Stores

WAITING = 1000
"""Searches, at most, that are still to be said; what comes meanwhile is not."""
logger = logging.getLogger(__name__)


class Search(NamedTuple):
    """``results``: how many the first page holds; ``at`` in ms."""

    viewer_id: int
    kind: str
    query: str
    results: int
    at: int
    trace_id: str


class Searches:
    """Says them, each by a task."""

    def __init__(self) -> None:
        self.errands = Errands(WAITING)

    def note(self, stores: Stores, search: Search) -> None:
        """Begin to say it."""
        self.errands.send(object(), partial(_say, stores, search))


async def _say(stores: Stores, search: Search) -> None:
    try:
        key = (await stores.keys.get_many([search.viewer_id])).get(search.viewer_id)
        if key is None:  # erased meanwhile
            return
        event = Searched(
            event_id=stores.snowflakes.next(),
            at=search.at,
            actor_id=search.viewer_id,
            trace_id=search.trace_id,
            viewer_id=search.viewer_id,
            query=seal(key, search.viewer_id, search.query),
            kind=search.kind,
            results=search.results,
        )
        await stores.producer.produce(event)
    except StoreAway as away:
        logger.info("a search is not said: %s", away)
