"""Notifications: what a person is told, grouped by kind and target, from one topic in which all of it is in order.

The emitter of ``streams.notices`` writes one event for each cause into the recipient's partition of ``notifications``,
exactly once. So the position of an event there orders all that a person is told: it is the rows' write time, the mark
up to which they have seen, and where a live stream goes on.

No number is kept. A cause is a row, and goes when it is undone; a group is the causes that stand, which readers count.
What a deletion undoes (a post, a story, a comment with its replies), whether a story is over, and whether a post still
names whom it told of that, readers ask of the views of posts, stories and comments. Rows of ``recents`` and ``days``
only say where to look: what they name counts if ``causes`` and ``groups`` still say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from schemas.events import (
    NoticeWithdrawn,
    NotificationPreferencesChanged,
    NotificationsSeen,
    Notified,
    UploadFailed,
)
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View

LIKE, COMMENT, REPLY, MENTION, TAG = "like", "comment", "reply", "mention", "tag"
FOLLOW, REQUEST, APPROVAL, UPLOAD_FAILED = "follow", "request", "approval", "upload_failed"
STORY_REACTION = "story_reaction"
"""Its target is the story."""
KINDS = (LIKE, COMMENT, REPLY, MENTION, TAG, FOLLOW, REQUEST, APPROVAL, STORY_REACTION, UPLOAD_FAILED)
BY_POSTS = (MENTION, TAG)
"""Of being named: by a post itself, where there is no comment."""
DAY_MS = 86_400_000
Write = Upsert | Delete


def group_of(recipient_id: int, kind: str, target: int) -> int:
    """The id of the group: 63 bits of a hash, the same whatever becomes of it. The groups of one person, some
    thousands, never meet; those of two may, so that readers ask for the recipient as well."""
    digest = blake2b(f"{recipient_id}-{kind}-{target}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def named(mentions: Iterable[int], tagged: Iterable[int]) -> dict[int, str]:
    """As what a post tells each person whom it names: who is tagged is not told of a mention as well."""
    tags = dict.fromkeys(tagged, TAG)
    return tags | {person: MENTION for person in mentions if person not in tags}


def project(batch: Sequence[Record]) -> list[Write]:
    """Four rows for each notice, one for what undoes it, for what was seen, and for preferences."""
    writes: list[Write] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case Notified():
                cause = _Cause(event.recipient_id, event.kind, event.target, event.actor_id, event.comment)
                writes += cause.told(mark, event.at, {"post": event.post})
            case UploadFailed():
                # Its target is the file: a file that was refused twice, because its emitter was killed in between, is
                # one group and one cause.
                cause = _Cause(event.recipient_id, UPLOAD_FAILED, event.media_id, event.recipient_id, 0)
                said = {"post": event.post_id, "code": event.code, "reason": event.reason}
                writes += cause.told(mark, event.at, said)
            case NoticeWithdrawn(comment=0) if event.kind in BY_POSTS:
                # Only a word to those who listen: readers ask the post. Two edits that crossed may have said it in an
                # order in which the row would be gone, while the post that won names the person.
                pass
            case NoticeWithdrawn(kind="reply", comment=0):
                cause = _Cause(event.recipient_id, event.kind, event.target, event.actor_id, event.comment)
                writes.append(cause.withdrawn_with_all(mark))
            case NoticeWithdrawn():
                cause = _Cause(event.recipient_id, event.kind, event.target, event.actor_id, event.comment)
                writes.append(cause.withdrawn(mark))
            case NotificationPreferencesChanged():
                columns = {"silenced": sorted(event.silenced), "unpushed": sorted(event.unpushed)}
                key = {"recipient_id": event.recipient_id}
                writes.append(Upsert(mark, "notification_preferences", key, columns))
            case NotificationsSeen():
                # One row each, of which the highest counts: a device that is behind takes nothing back.
                key = {"recipient_id": event.viewer_id, "position": event.position}
                writes.append(Upsert(mark, "notification_seen", key, {"at": event.at}))
    return writes


class _Cause:
    """What somebody did, for one recipient."""

    def __init__(self, recipient_id: int, kind: str, target: int, actor_id: int, comment: int) -> None:
        self._recipient_id, self._kind, self._target = recipient_id, kind, target
        self._group = {"group_id": group_of(recipient_id, kind, target), "recipient_id": recipient_id}
        self._key = self._group | {"actor_id": actor_id, "comment": comment}
        self._who = {"actor_id": actor_id, "comment": comment}

    def told(self, mark: Mark, at: int, said: dict[str, Any]) -> list[Write]:
        when = {"position": mark.offset, "at": at}
        group = {"recipient_id": self._recipient_id, "group_id": self._group["group_id"]}
        columns = {"kind": self._kind, "target": self._target, **said, **when}
        day = {"recipient_id": self._recipient_id, "day": at // DAY_MS, "group_id": group["group_id"]}
        return [
            Upsert(mark, "notification_causes", self._key, when),
            Upsert(mark, "notification_recents", self._group | {"position": mark.offset}, self._who | {"at": at}),
            Upsert(mark, "notification_groups", group, columns),
            Upsert(mark, "notification_days", day, {"position": mark.offset}),
        ]

    def withdrawn(self, mark: Mark) -> Write:
        return Delete(mark, "notification_causes", self._key)

    def withdrawn_with_all(self, mark: Mark) -> Write:
        return Delete(mark, "notification_causes", self._group)


NOTIFICATIONS: View[Write] = View("notifications", ("notifications", "activity"), project)
