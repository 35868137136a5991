"""Posts and media: a row per post in ``posts``, from the topic ``posts``, and per media in ``media``, from ``media``.

Each column says what one kind of event said last, and readers conclude from the columns, so that no event has to know
what came before it:

- a post is deleted once ``deleted`` is set, whatever else stands in the row, before or after;
- otherwise it is published once ``published_at`` is set, even if it was rejected too: a media that was refused at one
  try and rendered at another does have its pictures;
- a media is ready once ``rendered`` is set, even if it was refused too, for the same reason.

PostPublished is emitted at least once, and duplicates may differ in ``at``. The last one in the log wins, since all of
a post's events stand in one partition: that is the same post for every batching and every redelivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.events import (
    MediaPurged,
    MediaRejected,
    PostDeleted,
    PostEdited,
    PostPublished,
    PostRejected,
    PostSubmitted,
    RenditionsReady,
    UploadCompleted,
)
from streams.records import Record
from streams.views import Mark, Upsert, View

PURGED = "purged"
"""The code of a media that is gone."""
_SHOWN = ("caption", "mentions", "tagged", "hashtags", "place", "media")
"""What a deletion takes along."""


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert for each event of a post or a media."""
    writes: list[Upsert] = []
    columns: dict[str, Any]
    for tp, offset, _, event in batch:
        match event:
            case PostSubmitted():
                columns = {"media_ids": event.media_ids, "submitted_at": event.at, **_said(event)}
            case PostPublished():
                columns = {"published_at": event.at, "media": _json(event.media)}
            case PostEdited():
                columns = {"edited_at": event.at, **_said(event)}
            case PostRejected():
                columns = {"rejected_code": event.code, "rejected_reason": event.reason}
            case PostDeleted():
                columns = dict.fromkeys(_SHOWN) | {"deleted": True}
            case UploadCompleted():
                columns = {"uploaded_at": event.at}
            case RenditionsReady():
                columns = {"rendered": _json(event.media)}
            case MediaRejected():
                columns = {"code": event.code, "reason": event.reason}
            case MediaPurged():
                columns = {"rendered": None, "code": PURGED, "reason": "The file was removed."}
            case _:
                continue
        mark = Mark(tp, offset)
        # Author and owner never change; they stand in every event because a later one can be all that a reader sees.
        if isinstance(event, UploadCompleted | RenditionsReady | MediaRejected | MediaPurged):
            writes.append(Upsert(mark, "media", {"media_id": event.media_id}, {"owner_id": event.owner_id} | columns))
        else:
            writes.append(Upsert(mark, "posts", {"post_id": event.post_id}, {"author_id": event.author_id} | columns))
    return writes


def _said(event: PostSubmitted | PostEdited) -> dict[str, Any]:
    """What an edit says anew."""
    return {
        "caption": event.caption,
        "mentions": event.mentions,
        "tagged": event.tagged,
        "hashtags": event.hashtags,
        "place": event.place,
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


POSTS: View[Upsert] = View("posts", ("posts", "media"), project)
