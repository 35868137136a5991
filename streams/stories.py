"""Stories: pictures that are seen for 24 hours of event time, and highlights, in which their author keeps some of them.

Every row says what one kind of event said, whole, and until when (``expires_at``): the sink gives it what is left of
that as its time to live, and readers look at it again, since a store may be late. So nothing here knows what time it
is, and a replay gives what a reader would have got. Readers conclude from the rows of a story, whatever came first:

- it is gone for good once there is a row ``DELETED``, which has no end, as highlights have none;
- otherwise it is published once there is a row ``PUBLISHED``, even if its picture was refused at another try.

A highlighted story is a row of its own with all that is shown, by story and highlight; it outlives the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.events import (
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    StoryDeleted,
    StoryHighlighted,
    StoryPublished,
    StoryRejected,
    StorySubmitted,
    StoryUnhighlighted,
)
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View

LIFE_MS = 86_400_000
"""For so long is a story seen, from ``at`` of its StoryPublished on."""
SUBMITTED, PUBLISHED, REJECTED, DELETED = range(4)
"""What a row of ``stories`` says."""
Write = Upsert | Delete


def project(batch: Sequence[Record]) -> list[Write]:
    """The rows of each event of a story and of a highlight."""
    writes: list[Write] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case StorySubmitted() | StoryPublished() | StoryRejected() | StoryDeleted():
                writes += _said(mark, event)
            case HighlightMade() | HighlightRenamed() | HighlightDeleted():
                key = {"author_id": event.author_id, "highlight_id": event.highlight_id}
                columns: dict[str, Any] = {"name": None, "deleted": True}
                if isinstance(event, HighlightMade):
                    columns = {"name": event.name, "made_at": event.at}
                elif isinstance(event, HighlightRenamed):
                    columns = {"name": event.name}
                writes.append(Upsert(mark, "highlights", key, columns))
            case StoryHighlighted() | StoryUnhighlighted():
                kept = {"story_id": event.story_id, "highlight_id": event.highlight_id}
                listed = {"author_id": event.author_id, "highlight_id": event.highlight_id, "story_id": event.story_id}
                if isinstance(event, StoryUnhighlighted):
                    writes += [Delete(mark, "kept_stories", kept), Delete(mark, "highlight_stories", listed)]
                    continue
                shown = {"author_id": event.author_id, "published_at": event.published_at, **_shown(event)}
                writes.append(Upsert(mark, "kept_stories", kept, shown))
                writes.append(Upsert(mark, "highlight_stories", listed, {"added_at": event.at}))
    return writes


def _said(mark: Mark, event: StorySubmitted | StoryPublished | StoryRejected | StoryDeleted) -> list[Write]:
    columns: dict[str, Any] = {"author_id": event.author_id, "at": event.at}
    expires = {"expires_at": event.at + LIFE_MS}
    match event:
        case StorySubmitted():
            said, columns = SUBMITTED, {**columns, **expires, "media_id": event.media_id}
        case StoryPublished():
            said, columns = PUBLISHED, {**columns, **expires, "media_id": event.media.media_id, **_shown(event)}
        case StoryRejected():
            refused = {"media_id": event.media_id, "code": event.code, "reason": event.reason}
            said, columns = REJECTED, {**columns, **expires, **refused}
        case StoryDeleted():
            said = DELETED
    writes: list[Write] = [Upsert(mark, "stories", {"story_id": event.story_id, "said": said}, columns)]
    key = {"author_id": event.author_id, "story_id": event.story_id}
    if isinstance(event, StoryPublished):
        writes.append(Upsert(mark, "user_stories", key, {"at": event.at, **expires}))
    elif isinstance(event, StoryDeleted):
        # What was said before goes; what comes after, having crossed it, is hidden by this row.
        gone = (SUBMITTED, PUBLISHED, REJECTED)
        writes += [Delete(mark, "stories", {"story_id": event.story_id, "said": one}) for one in gone]
        writes.append(Delete(mark, "user_stories", key))
    return writes


def _shown(event: StoryPublished | StoryHighlighted) -> dict[str, Any]:
    return {
        "media": msgspec.json.encode(event.media).decode(),
        "stickers": msgspec.json.encode(event.stickers).decode(),
        "music": event.music,
    }


STORIES: View[Write] = View("stories", ("stories",), project)
