"""Who saw a story, who reacted to it, and what each viewer has seen of whom.

``story_views`` and ``story_reactions`` are for the story's author alone, by story; ``stories_seen`` is for the viewer
alone, by viewer: it says what is unseen in a tray, and how close two people are. All are relations, of which the last
in the log wins; but who saw a story to its end once did so, however short a later look at it is. What an author does
with a story of their own is nobody's news.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.events import StoryReacted, StoryReactionWithdrawn, StoryViewed, StoryViewWithdrawn
from streams.records import Record
from streams.views import Delete, Mark, Upsert, View

VIEWERS_MS = 2 * 86_400_000
"""For so long is a view or a reaction shown to the author."""
SEEN_MS = 7 * 86_400_000
"""For so long does what a viewer saw or said count for how close they are; a story itself is gone long before."""
SAW, REACTED = 0, 1
"""What a row of ``stories_seen`` says."""
REACTION_WEIGHT = 4
"""As many views as one reaction counts for."""
Write = Upsert | Delete


def closeness(kinds: Iterable[int]) -> int:
    """How close a viewer is to an author, by the kinds of their living rows of ``stories_seen``: each story seen counts
    once, each reaction ``REACTION_WEIGHT`` times."""
    return sum(REACTION_WEIGHT if kind == REACTED else 1 for kind in kinds)


def project(batch: Sequence[Record]) -> list[Write]:
    """Two rows for each view and each reaction."""
    writes: list[Write] = []
    for tp, offset, _, event in batch:
        mark = Mark(tp, offset)
        match event:
            case StoryViewed() | StoryReacted() | StoryReactionWithdrawn() if event.actor_id == event.author_id:
                continue
            case StoryViewed() | StoryReacted():
                told = {"story_id": event.story_id, "viewer_id": event.actor_id}
                until, at = {"expires_at": event.at + VIEWERS_MS}, event.at
                if isinstance(event, StoryViewed):
                    # A shorter look does not set the column: what an earlier one set stays.
                    ended = {"completed": True} if event.completed else {}
                    writes.append(Upsert(mark, "story_views", told, {"viewed_at": at, **ended, **until}))
                else:
                    said = {"reaction": event.reaction, "reacted_at": at, **until}
                    writes.append(Upsert(mark, "story_reactions", told, said))
                kind = SAW if isinstance(event, StoryViewed) else REACTED
                columns = {"at": at, "expires_at": at + SEEN_MS}
                writes.append(Upsert(mark, "stories_seen", _seen(event, kind), columns))
            case StoryReactionWithdrawn() | StoryViewWithdrawn():
                told = {"story_id": event.story_id, "viewer_id": event.actor_id}
                saw = isinstance(event, StoryViewWithdrawn)
                writes.append(Delete(mark, "story_views" if saw else "story_reactions", told))
                writes.append(Delete(mark, "stories_seen", _seen(event, SAW if saw else REACTED)))
    return writes


def _seen(event: StoryViewed | StoryViewWithdrawn | StoryReacted | StoryReactionWithdrawn, kind: int) -> dict[str, int]:
    return {"viewer_id": event.actor_id, "author_id": event.author_id, "story_id": event.story_id, "kind": kind}


STORY_VIEWS: View[Write] = View("story_views", ("stories",), project)
