"""The media emitter's meaning: every upload ends as RenditionsReady, or as MediaRejected with a notice to its owner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import Event, MediaRejected, RenderedMedia, RenditionsReady, UploadCompleted, UploadFailed
from streams.causes import Cause
from streams.records import Record
from streams.views import Mark, View


class Render(NamedTuple):
    """Make the renditions of ``upload``."""

    cause: Cause
    upload: UploadCompleted

    @property
    def mark(self) -> Mark:
        """Where in the log the upload stands."""
        return self.cause.mark


class Refusal(NamedTuple):
    """Why a file cannot become a picture: ``code`` is stable for machines, ``reason`` a sentence for the person."""

    code: str
    reason: str


def project(records: Sequence[Record]) -> list[Render]:
    """One ``Render`` for each upload; the emitter's own events and all others in ``media`` are passed over."""
    return [Render(Cause.of(record), record.event) for record in records if isinstance(record.event, UploadCompleted)]


def said(render: Render, outcome: RenderedMedia | Refusal) -> list[Event]:
    """What to emit once ``render`` came to ``outcome``.

    A refusal gives exactly one notice for the media, to its owner. It comes from here and not from the publisher, since
    a file can be refused before, after or without any post that wants it; hence its ``post_id`` is always 0.
    """
    cause, upload = render
    if isinstance(outcome, RenderedMedia):
        return [
            RenditionsReady(
                event_id=cause.event_id(0, upload.media_id),
                at=cause.at,
                actor_id=upload.owner_id,
                trace_id=cause.trace_id,
                media_id=upload.media_id,
                owner_id=upload.owner_id,
                media=outcome,
                source=cause.source(0),
            )
        ]
    return [
        MediaRejected(
            event_id=cause.event_id(0, upload.media_id),
            at=cause.at,
            actor_id=upload.owner_id,
            trace_id=cause.trace_id,
            media_id=upload.media_id,
            owner_id=upload.owner_id,
            code=outcome.code,
            reason=outcome.reason,
            source=cause.source(0),
        ),
        UploadFailed(
            event_id=cause.event_id(1, upload.media_id),
            at=cause.at,
            actor_id=upload.owner_id,
            trace_id=cause.trace_id,
            recipient_id=upload.owner_id,
            media_id=upload.media_id,
            post_id=0,
            code=outcome.code,
            reason=outcome.reason,
            source=cause.source(1),
        ),
    ]


MEDIA: View[Render] = View(name="media", sources=("media",), project=project)
"""The emitter of renditions. It is no fold: its effect is in the log, and a replay never runs it."""
