"""The events of the topic ``notifications``: what a person is told."""

from __future__ import annotations

from schemas.event import Event, Source


class UploadFailed(Event, frozen=True, kw_only=True):
    """A notice to ``recipient_id``: their file was refused. ``post_id`` is 0 where no post waited for it."""

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    media_id: int
    post_id: int
    code: str
    reason: str
    source: Source


class Notified(Event, frozen=True, kw_only=True):
    """``recipient_id`` is to be told what the actor did. Written once for each cause, in one transaction with the
    emitter's position.

    ``target`` is what it is about, for one ``kind``: a post, a story; of a reply the comment replied to; 0 for the
    recipient themself. It leads to ``post``, and ``comment`` says it; 0 for none.
    """

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    kind: str
    target: int
    post: int
    comment: int
    source: Source


class NoticeWithdrawn(Event, frozen=True, kw_only=True):
    """What the actor did is undone: ``recipient_id`` is no longer told of it. Fields as in ``Notified``; of replies
    without a ``comment``: all those to ``target``, whoever wrote them."""

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    kind: str
    target: int
    post: int
    comment: int
    source: Source


class NotificationPreferencesChanged(Event, frozen=True, kw_only=True):
    """What ``recipient_id`` wants to be told of: not of the kinds ``silenced``, and not by push of those ``unpushed``.
    Carries the whole of it."""

    TOPIC = "notifications"
    KEY = "recipient_id"
    recipient_id: int
    silenced: list[str]
    unpushed: list[str]
