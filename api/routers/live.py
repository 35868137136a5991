"""Live: a person's notifications as they come, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from api.access_tokens import Person
from api.activity import sentence
from api.examples import EVENT_ID, STREAM
from api.identity import Reader
from api.models import Person as Someone
from api.presenting import moment
from api.problems import Problem, problems
from api.stores import Opened, Stores
from api.telling import Notice, Telling
from schemas.events import NoticeWithdrawn, NotificationPreferencesChanged, Notified, UploadFailed
from sinks import consistency
from sinks.errors import StoreAway
from sinks.notice_tail import Listener, NoticeTail, Placed
from sinks.notifications import Preferences
from streams.notifications import STORY_REACTION, UPLOAD_FAILED, group_of

router = APIRouter(prefix="/api/v1", tags=["notifications"])
HEARTBEAT_SECONDS = 15.0
DEVICES = 20
"""Connections that one person may have."""
_BEGINNING = "beginning"
"""Stands for the place before everything."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `notification` (somebody did something), `withdrawal` (and undid it) and `reload` (more "
        "was missed than is kept: read the list again). Each carries an id, which is a `Consistency-Token` too. "
        "A notification's data is `id` (of its group, as in the list), `kind`, `text`, `actor`, `at` (ISO 8601 in UTC, "
        "as everywhere), `post_id`, `comment_id` and `story_id`; a withdrawal's is `id` and `kind`: that group is to "
        "be read again, since something in it was undone or deleted.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM}},
    }
}


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get("/live", responses={**_STREAM, **problems(401, 422, 429, 503)}, response_class=EventStream)
async def follow_live(
    request: Request,
    me: Reader,
    stores: Opened,
    last_event_id: Annotated[
        str | None,
        Header(
            description="The id of the last event you got: the stream goes on after it.",
            max_length=64,
            examples=[EVENT_ID],
        ),
    ] = None,
) -> EventStream:
    """Your notifications as they come, as server-sent events, on as many devices as you like.

    A stream ends with its session, and after the time for which an access token is good. Come again with a new one and
    with `Last-Event-ID`: nothing is missed and nothing comes twice.
    """
    await stores.notice_tail.ready()
    if stores.notice_tail.listeners(me.user_id) >= DEVICES:
        raise Problem(429, "too-many-streams", f"You have {DEVICES} streams open. Close one first.", retry_after=60)
    preferences = await stores.notifications.preferences(me.user_id)
    telling: Telling = request.app.state.telling
    seconds = float(stores.settings.access_token_seconds)
    stream = Stream(stores.notice_tail, telling, me, preferences, seconds)
    return EventStream(stream.events(_since(stores, me.user_id, last_event_id)), headers=_HEADERS)


def _since(stores: Stores, user_id: int, last_event_id: str | None) -> int | None:
    """The offset that the id names. An id from elsewhere, or of another time, is one whose next is not kept."""
    if not last_event_id:
        return None
    tp = stores.notice_tail.of(user_id)
    if last_event_id == f"{tp}-{_BEGINNING}":
        return -1
    try:
        token = consistency.parse(last_event_id)
    except ValueError:
        return -2
    return token.get(tp, -2)


class Stream:
    """One connection."""

    def __init__(
        self, tail: NoticeTail, telling: Telling, person: Person, preferences: Preferences, seconds: float
    ) -> None:
        """``seconds`` bounds how long it lasts."""
        self._tail, self._telling = tail, telling
        self._user_id = person.user_id
        self._session_id = person.session_id
        self._silenced = preferences.silenced
        self._end = asyncio.get_running_loop().time() + seconds

    async def events(self, since: int | None) -> AsyncIterator[bytes]:
        """What goes out, from after the offset ``since`` on. Ends with its time."""
        with self._tail.listening(self._user_id, since) as listener:
            yield self._place(listener)
            while True:
                left = self._end - asyncio.get_running_loop().time()
                if left <= 0:
                    return
                news = await listener.take(min(HEARTBEAT_SECONDS, left))
                notices = [one.event for one in news if isinstance(one.event, Notified | NoticeWithdrawn)]
                try:
                    answer = await self._telling.ask(self._session_id, notices)
                except StoreAway:
                    return  # come again: what was not sent is still kept
                if not answer.goes_on:
                    return
                if listener.missed:
                    yield self._place(listener)
                if not news:
                    yield b":\n" + self._place(listener)  # a quiet client's place moves on with the log
                    continue
                actors = dict(zip(notices, answer.actors, strict=True))
                if sent := b"".join(self._frame(listener, one, actors) for one in news):
                    yield sent

    def _place(self, listener: Listener) -> bytes:
        """The place up to which all was sent; with a word where that is not so."""
        name, listener.missed = "reload" if listener.missed else None, False
        return _frame(name, _id(listener, listener.since), {})

    def _frame(self, listener: Listener, placed: Placed, actors: Mapping[Notice, Someone | None]) -> bytes:
        offset, event = placed
        match event:
            case NotificationPreferencesChanged():
                self._silenced = frozenset(event.silenced)
            case NoticeWithdrawn() if event.kind not in self._silenced:
                group_id = group_of(self._user_id, event.kind, event.target)
                said = {"id": str(group_id), "kind": event.kind}
                return _frame("withdrawal", _id(listener, offset), said)
            case Notified() if event.kind not in self._silenced:
                if actor := actors[event]:
                    return _frame("notification", _id(listener, offset), self._notified(event, actor))
            case UploadFailed() if UPLOAD_FAILED not in self._silenced:
                return _frame("notification", _id(listener, offset), self._failed(event))
        return b""

    def _notified(self, event: Notified, actor: Someone) -> dict[str, object]:
        return {
            "id": str(group_of(self._user_id, event.kind, event.target)),
            "kind": event.kind,
            "text": sentence(event.kind, [actor], 1),
            "actor": actor.model_dump(mode="json"),
            "at": _time(event.at),
            "post_id": str(event.post) if event.post else None,
            "comment_id": str(event.comment) if event.comment else None,
            "story_id": str(event.target) if event.kind == STORY_REACTION else None,
        }

    def _failed(self, event: UploadFailed) -> dict[str, object]:
        return {
            "id": str(group_of(self._user_id, UPLOAD_FAILED, event.media_id)),
            "kind": UPLOAD_FAILED,
            "text": f"Your upload failed. {event.reason}",
            "at": _time(event.at),
            "media_id": str(event.media_id),
            "post_id": str(event.post_id) if event.post_id else None,
            "code": event.code,
        }


def _time(at_ms: int) -> str | None:
    """As all other answers say it."""
    at = moment(at_ms)
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _id(listener: Listener, offset: int) -> str:
    return f"{listener.tp}-{offset if offset >= 0 else _BEGINNING}"


def _frame(name: str | None, event_id: str, said: Mapping[str, object]) -> bytes:
    """One event; without a name only the place, which a client keeps and shows nobody."""
    head = b"id: %s\n" % event_id.encode()
    if name is None:
        return head + b"\n"
    return b"%sevent: %s\ndata: %s\n\n" % (head, name.encode(), msgspec.json.encode(said))
