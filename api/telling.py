"""Of which notices live streams are told: decided for all streams of a gateway together, by the rules as they are then.

A stream asks when something came for it, and when it is time for a heartbeat. All that is asked within a moment is one
micro-batch and costs a few round trips, whatever the number of streams: whether their sessions are open, what the rules
say of each recipient and actor, and who these are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from api.micro_batches import MicroBatches
from api.models import Person
from api.presenting import Presenter
from api.stores import Stores
from schemas.events import NoticeWithdrawn, Notified
from sinks.audience import Cause, RuledAudiences
from sinks.consistency import SOURCES
from streams.notifications import BY_POSTS, COMMENT, MENTION, REPLY, STORY_REACTION
from streams.records import TopicPartition

AT_ONCE = 200
"""Streams in a micro-batch at most."""
BATCH_SECONDS = 0.04
"""One begins at most so often: a notice that is alone is not held up, and of many some wait for so long."""


Notice = Notified | NoticeWithdrawn


class Asked(NamedTuple):
    """What one stream wants to know."""

    session_id: str
    events: Sequence[Notice]
    until: float
    """For so long, by the event loop's clock, the views that judge ``events`` are waited for."""


class Answer(NamedTuple):
    """Whether the stream goes on: who was logged out hears nothing more. Of each event its actor, None where the rules
    do not let it be told, and for a withdrawal, which tells of nobody."""

    goes_on: bool
    actors: Sequence[Person | None] = ()


_NO_MORE = Answer(False)


class Telling:
    """One for a gateway. To be used on one event loop."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._batches = MicroBatches(self._answer, most=AT_ONCE, seconds=BATCH_SECONDS)

    async def ask(self, session_id: str, events: Sequence[Notice]) -> Answer:
        """For a stream of this session, to whose person ``events`` are. Raises ``StoreAway``."""
        until = asyncio.get_running_loop().time() + self._stores.settings.consistency_wait_seconds
        return await self._batches.ask(Asked(session_id, events, until))

    async def _answer(self, batch: Sequence[Asked]) -> list[Answer | None]:
        stores = self._stores.for_request()
        events = [event for asked in batch for event in asked.events]
        still, applied = await asyncio.gather(
            stores.sessions.open_among({asked.session_id for asked in batch}), _applied(stores, events)
        )
        # What is told of may be newer than the views that say whether it may be shown.
        ready = [all(_holds(applied, event) for event in asked.events) for asked in batch]
        told = [
            event
            for asked, is_ready in zip(batch, ready, strict=True)
            if is_ready and asked.session_id in still
            for event in asked.events
            if isinstance(event, Notified)
        ]
        actors: Mapping[Notice, Person] = await _actors(stores, told)
        now = asyncio.get_running_loop().time()
        answers: list[Answer | None] = []
        for asked, is_ready in zip(batch, ready, strict=True):
            if asked.session_id not in still:
                answers.append(_NO_MORE)
            elif is_ready:
                answers.append(Answer(True, [actors.get(event) for event in asked.events]))
            else:
                # Not told for want of the view would be never told: after a while the client has to come again.
                answers.append(None if now < asked.until else _NO_MORE)
        return answers


async def _applied(stores: Stores, events: Iterable[Notice]) -> Mapping[str, Mapping[TopicPartition, int]]:
    """How far the views are that judge ``events``, where any has to be waited for."""
    views = sorted({view for event in events for view, _ in _judges(event)})
    return dict(zip(views, await asyncio.gather(*(stores.fences.applied(view) for view in views)), strict=True))


def _judges(event: Notice) -> Iterable[tuple[str, TopicPartition]]:
    """The view that has to hold what ``event`` tells of, and where in the log that stands. Who hears of a withdrawal
    reads the list again, which has to know of it."""
    of_comment = _said(event) or event.kind == REPLY  # all replies to a comment are withdrawn without naming any
    view, source = "comments" if of_comment else "stories" if _story(event) else "posts", event.source
    if source.topic in SOURCES[view]:
        yield view, TopicPartition(source.topic, source.partition)


def _holds(applied: Mapping[str, Mapping[TopicPartition, int]], event: Notice) -> bool:
    return all(applied[view].get(tp, -1) >= event.source.offset for view, tp in _judges(event))


def _said(event: Notice) -> int:
    """The comment that it shows; 0 for none."""
    return event.comment if event.kind in (COMMENT, REPLY, MENTION) else 0


def _story(event: Notice) -> int:
    """The story that it shows; 0 for none."""
    return event.target if event.kind == STORY_REACTION else 0


def _named(event: Notified) -> str:
    """As what its post has to name the recipient, if that is what it tells of."""
    return event.kind if event.kind in BY_POSTS and not event.comment else ""


async def _actors(stores: Stores, events: Sequence[Notified]) -> dict[Notice, Person]:
    """The actors of those of ``events`` that may be told."""
    if not events:
        return {}
    causes = {
        event: Cause(event.recipient_id, event.actor_id, event.post, _said(event), _story(event), _named(event))
        for event in events
    }
    told, people = await asyncio.gather(
        RuledAudiences(stores.relations, stores.posts, stores.comments, stores.stories).told(
            set(causes.values()), stores.clock()
        ),
        Presenter(stores).let_through({event.actor_id for event in events}),
    )
    return {event: people[event.actor_id] for event, cause in causes.items() if cause in told}
