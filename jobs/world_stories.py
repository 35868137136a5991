"""Stories of a simulated world: who has some, who sees them and says something to them, and what is kept of them.

As with posts, a story and its picture can pass each other, some are deleted before they are published, and people see
what is deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from jobs.world import Reuse, Step, World
from schemas.events import (
    Event,
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    RenderedMedia,
    Sticker,
    StoryDeleted,
    StoryHighlighted,
    StoryReacted,
    StoryReactionWithdrawn,
    StorySubmitted,
    StoryUnhighlighted,
    StoryViewed,
)

_FRESH = 60
_EMOJI = "🔥👏😍😂😮😢"
TORN_SHARE = 0.2
"""Uploads for stories whose file is broken: there are few, and some are to be refused."""
_KINDS = ("mention", "hashtag", "place", "text", "emoji")


class Story(NamedTuple):
    """A story of the world; ``at`` when it was submitted, in ms; ``reused`` where its picture is no upload."""

    story_id: int
    author: int
    media_id: int
    at: int
    reused: bool


class Stories:
    """Their state while people have stories."""

    def __init__(self, world: World) -> None:
        self._world, self._random, self._ids = world, world.random, world.ids
        self._alive: list[Story] = []
        self._dead: list[Story] = []
        self._highlights: list[tuple[int, int]] = []
        """(author, highlight) of what stands."""
        self._kept: list[tuple[int, Story]] = []
        self._reactions: list[tuple[int, Story]] = []

    def publish(self, whole_way: bool) -> Iterator[Step]:
        """Somebody has a story, of a picture that is rendered before or after they say so."""
        random, world = self._random, self._world
        author = world.people[world.someone()]
        if whole_way:
            photo = random.choice(world.photos)
            upload = world.upload(author, photo.torn() if random.random() < TORN_SHARE else photo)
            media_id = upload.event.media_id
            yield upload
        else:
            media_id, event_id = self._ids.next(), self._ids.next()
        first = not whole_way and random.random() < 0.7
        if first:
            yield Reuse(event_id, self._ids.at, media_id, author, media_id)
        story = Story(self._ids.next(), author, media_id, self._ids.at, not whole_way)
        self._alive.append(story)
        said = self._by(author)
        yield StorySubmitted(
            **said,
            story_id=story.story_id,
            author_id=author,
            media_id=media_id,
            stickers=self._stickers(author, said["event_id"]),
            music="" if random.random() < 0.7 else f"catalogue:{random.randrange(500)}",
        )
        if not (first or whole_way):
            yield Reuse(self._ids.next(), self._ids.at, media_id, author, media_id)

    def event(self, kind: str, user: int) -> Event | None:
        """What ``user`` does of ``kind``; None where there is no story for it."""
        match kind:
            case "story_view":
                return self._view(user)
            case "story_reaction":
                return self._react(user)
            case "highlight":
                return self._highlight(user)
        if not self._alive:
            return None
        story = self._alive.pop(self._place())
        self._dead.append(story)
        return StoryDeleted(**self._by(story.author), story_id=story.story_id, author_id=story.author)

    def _view(self, user: int) -> Event | None:
        story = self._some()
        if story is None:
            return None
        watched = min(int(self._random.expovariate(1 / 3500)), 5000)
        said: dict[str, Any] = {"watched_ms": watched, "completed": watched == 5000}
        return StoryViewed(**self._by(user), story_id=story.story_id, author_id=story.author, **said)

    def _react(self, user: int) -> Event | None:
        if self._reactions and self._random.random() < 0.2:
            person, story = self._random.choice(self._reactions)
            return StoryReactionWithdrawn(**self._by(person), story_id=story.story_id, author_id=story.author)
        found = self._some()
        if found is None or found.author == user:
            return None
        self._reactions.append((user, found))
        said: dict[str, Any] = {"reaction": self._random.choice(_EMOJI)}
        return StoryReacted(**self._by(user), story_id=found.story_id, author_id=found.author, **said)

    def _highlight(self, user: int) -> Event | None:
        random = self._random
        kind = random.random()
        if kind < 0.4 or not self._highlights:
            said = self._by(user)
            self._highlights.append((user, self._ids.next()))
            return HighlightMade(**said, **self._of(self._highlights[-1]), name=self._name(user, said["event_id"]))
        if kind < 0.5:
            one = random.choice(self._highlights)
            said = self._by(one[0])
            return HighlightRenamed(**said, **self._of(one), name=self._name(one[0], said["event_id"]))
        if kind < 0.55:
            one = self._highlights.pop(random.randrange(len(self._highlights)))
            return HighlightDeleted(**self._by(one[0]), **self._of(one))
        if kind < 0.65 and self._kept:
            highlight, story = self._kept.pop(random.randrange(len(self._kept)))
            named: dict[str, Any] = {"highlight_id": highlight, "story_id": story.story_id, "author_id": story.author}
            return StoryUnhighlighted(**self._by(story.author), **named)
        return self._keep()

    def _keep(self) -> Event | None:
        """One of those who have both puts a story of theirs into a highlight of theirs; its picture is put in by who
        knows its renditions."""
        author, highlight = self._random.choice(self._highlights)
        own = [story for story in self._alive[-_FRESH:] if story.author == author and story.reused]
        if not own:
            return None
        story = self._random.choice(own)
        self._kept.append((highlight, story))
        return StoryHighlighted(
            **self._by(author),
            highlight_id=highlight,
            story_id=story.story_id,
            author_id=author,
            published_at=story.at,
            media=RenderedMedia(story.media_id, 1, 1, "", "", []),
        )

    def _some(self) -> Story | None:
        """Mostly what is new; now and then what is deleted."""
        if self._dead and self._random.random() < 0.02:
            return self._random.choice(self._dead)
        return self._alive[self._place()] if self._alive else None

    def _place(self) -> int:
        return len(self._alive) - 1 - self._random.randrange(min(_FRESH, len(self._alive)))

    def _stickers(self, author: int, event_id: int) -> list[Sticker]:
        random = self._random
        return [
            Sticker(
                kind=random.choice(_KINDS),
                x=random.randrange(1001),
                y=random.randrange(1001),
                turn=random.randrange(-30, 31),
                content=self._world.sealed(author, event_id, f"sticker {n}", self._world.words(1)),
            )
            for n in range(random.choice((0, 0, 0, 1, 2)))
        ]

    def _name(self, user: int, event_id: int) -> bytes:
        return self._world.sealed(user, event_id, "highlight", self._world.words(1).title())

    def _of(self, highlight: tuple[int, int]) -> dict[str, Any]:
        return {"author_id": highlight[0], "highlight_id": highlight[1]}

    def _by(self, actor: int) -> dict[str, Any]:
        return {"event_id": self._ids.next(), "at": self._ids.at, "actor_id": actor}
