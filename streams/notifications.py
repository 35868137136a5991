"""Notifications: what a person is told, newest first, in ``notifications``.

The notice of a refused file has the media's id for its own: an upload that was refused twice (its emitter stopped
between saying so and noting that it had) is told once, and the ids sort by the time of the upload.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import UploadFailed
from streams.records import Record
from streams.views import Mark, Upsert, View

UPLOAD_FAILED = "upload_failed"


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert for each notice."""
    return [
        Upsert(
            Mark(tp, offset),
            "notifications",
            {"recipient_id": event.recipient_id, "notification_id": event.media_id},
            {
                "kind": UPLOAD_FAILED,
                "at": event.at,
                "media_id": event.media_id,
                "post_id": event.post_id,
                "code": event.code,
                "reason": event.reason,
            },
        )
        for tp, offset, _, event in batch
        if isinstance(event, UploadFailed)
    ]


NOTIFICATIONS: View[Upsert] = View("notifications", ("notifications",), project)
