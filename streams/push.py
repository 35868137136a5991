"""Push: what of the topic ``notifications`` may be pushed to a person's devices. Whether it is, is decided when it is
sent, by the rules, and by what stands then.

No fold: its effect is on devices, and a replay never runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.events import Notified, Source, UploadFailed
from streams.notifications import UPLOAD_FAILED, group_of
from streams.records import Record
from streams.views import Mark, View

WINDOW_MS = 300_000
"""Of one post and kind a person is pushed once in so much event time."""


class Push(NamedTuple):
    """A notice to ``recipient_id``. ``target`` and ``post`` as in ``Notified``; ``at`` in ms, event time; ``source`` is
    the record that it tells of."""

    mark: Mark
    recipient_id: int
    kind: str
    target: int
    post: int
    at: int
    source: Source

    @property
    def group_id(self) -> int:
        """The group that it is shown in."""
        return group_of(self.recipient_id, self.kind, self.target)


def project(batch: Sequence[Record]) -> list[Push]:
    """One for each notice, in the batch's order."""
    pushes = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case Notified():
                about = event.kind, event.target, event.post
                pushes.append(Push(mark, event.recipient_id, *about, event.at, event.source))
            case UploadFailed():
                about = UPLOAD_FAILED, event.media_id, event.post_id
                pushes.append(Push(mark, event.recipient_id, *about, event.at, event.source))
    return pushes


def may_follow(at: int, pushed_at: int) -> bool:
    """Whether a notice of event time ``at`` may be pushed after one of ``pushed_at`` of the same post and kind: not
    within the window, nor if it is the older one (of another partition, or said late)."""
    return at - pushed_at >= WINDOW_MS


PUSH: View[Push] = View("push", ("notifications",), project)
"""Pushes are decided on in order, each once; see ``sinks.push_sink``."""
