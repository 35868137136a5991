"""The publisher: joins posts with their media and says when a post is published, or that it never can be.

PostSubmitted and the outcomes of its media stand in two topics and can pass each other. Whoever sees one side stores
it first and reads the other side afterwards. So of two workers that each hold one side at the same time at least one
finds both, and no post is lost; both may find both, and then a post is published twice, which readers take as once (by
post id).

A media that was refused at one try and rendered at another (a crash between the two) counts as ready: its renditions do
exist. A post can then be published after it was rejected, and readers let the publication win.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from schemas.events import (
    Event,
    MediaRejected,
    PostDeleted,
    PostPublished,
    PostRejected,
    PostSubmitted,
    RenderedMedia,
    RenditionsReady,
    Sticker,
    StoryDeleted,
    StoryPublished,
    StoryRejected,
    StorySubmitted,
)
from streams.causes import Cause
from streams.records import Record
from streams.rendering import Refusal
from streams.views import Mark, View

Outcome = RenderedMedia | Refusal
Decided = PostPublished | PostRejected | StoryPublished | StoryRejected


class Trimmings(NamedTuple):
    """What makes a story of a post of one picture."""

    stickers: tuple[Sticker, ...] = ()
    music: str = ""


class Post(NamedTuple):
    """A post that wants its media; ``media_ids`` in the order in which it shows them. With a ``story`` it is one: it
    waits and is published in the same way, under other names."""

    post_id: int
    author_id: int
    media_ids: tuple[int, ...]
    mentions: tuple[int, ...] = ()
    tagged: tuple[int, ...] = ()
    hashtags: tuple[str, ...] = ()
    place: str = ""
    story: Trimmings | None = None


class Submitted(NamedTuple):
    """A post was asked for."""

    cause: Cause
    post: Post

    @property
    def mark(self) -> Mark:
        """Where in the log it stands."""
        return self.cause.mark


class Settled(NamedTuple):
    """A media was rendered or refused."""

    cause: Cause
    media_id: int
    outcome: Outcome

    @property
    def mark(self) -> Mark:
        """Where in the log it stands."""
        return self.cause.mark


class Removed(NamedTuple):
    """A post was deleted, maybe before it was ever published."""

    cause: Cause
    post_id: int

    @property
    def mark(self) -> Mark:
        """Where in the log it stands."""
        return self.cause.mark


Seen = Submitted | Settled | Removed


class Memory(Protocol):
    """What the publisher remembers between batches, shared by all its workers.

    A read that begins after a ``store`` has returned sees what was stored, whoever stored it. Storing the same again
    changes nothing. All raise the store's error when it is away, and then some of a ``store`` may have happened.
    """

    async def store(self, seen: Sequence[Seen]) -> None:
        """Remember ``seen``; where one media was both rendered and refused, that it was rendered."""

    async def wanting(self, media_ids: Collection[int]) -> Iterable[tuple[int, Post]]:
        """(media id, post) for each stored post that wants one of ``media_ids``."""

    async def outcomes(self, media_ids: Collection[int]) -> Mapping[int, Outcome]:
        """The outcome of each of ``media_ids`` that has one."""

    async def removed(self, post_ids: Collection[int]) -> Collection[int]:
        """Those of ``post_ids`` that were deleted."""


def project(records: Sequence[Record]) -> list[Seen]:
    """What the publisher has to know of ``records``, in their order."""
    seen: list[Seen] = []
    for record in records:
        match record.event:
            case PostSubmitted() as event:
                # A post may name a media twice: it is shown twice, and waited for once.
                post = Post(
                    event.post_id,
                    event.author_id,
                    tuple(event.media_ids),
                    tuple(event.mentions),
                    tuple(event.tagged),
                    tuple(event.hashtags),
                    event.place,
                )
                seen.append(Submitted(Cause.of(record), post))
            case StorySubmitted() as event:
                trimmings = Trimmings(tuple(event.stickers), event.music)
                post = Post(event.story_id, event.author_id, (event.media_id,), story=trimmings)
                seen.append(Submitted(Cause.of(record), post))
            case PostDeleted() as event:
                seen.append(Removed(Cause.of(record), event.post_id))
            case StoryDeleted() as event:
                seen.append(Removed(Cause.of(record), event.story_id))
            case RenditionsReady() as event:
                seen.append(Settled(Cause.of(record), event.media_id, event.media))
            case MediaRejected() as event:
                seen.append(Settled(Cause.of(record), event.media_id, Refusal(event.code, event.reason)))
    return seen


async def join(seen: Sequence[Seen], memory: Memory) -> list[Event]:
    """Store ``seen``, read the other side, and return what to emit, in the order of ``seen``.

    Nothing is read before all of ``seen`` is stored: that order is what loses no post. Each post is emitted at most
    once in one call, on behalf of the first record that touched it.
    """
    await memory.store(seen)
    settled = {one.media_id for one in seen if isinstance(one, Settled)}
    wanting: dict[int, list[Post]] = {}
    for media_id, post in (await memory.wanting(settled)) if settled else ():
        wanting.setdefault(media_id, []).append(post)
    touched: dict[int, tuple[Cause, int, Post]] = {}
    for one in seen:
        match one:
            case Submitted(cause, post):
                touched.setdefault(post.post_id, (cause, 0, post))
            case Settled(cause, media_id, _):
                for n, post in enumerate(sorted(wanting.get(media_id, ()), key=_by_id)):
                    touched.setdefault(post.post_id, (cause, n, post))
    if not touched:
        return []
    outcomes = await memory.outcomes({media_id for _, _, post in touched.values() for media_id in post.media_ids})
    decided = [event for cause, n, post in touched.values() if (event := decide(cause, n, post, outcomes)) is not None]
    # Last of all, so that a deletion seen meanwhile still counts.
    removed = (await memory.removed([_subject(event) for event in decided])) if decided else ()
    return [event for event in decided if _subject(event) not in removed]


def decide(cause: Cause, n: int, post: Post, outcomes: Mapping[int, Outcome]) -> Decided | None:
    """What to say of ``post``, as the ``n``-th event of ``cause``; None while it has to wait for a media."""
    media: list[RenderedMedia] = []
    base: dict[str, Any] = {
        "event_id": cause.event_id(n, post.post_id),
        "at": cause.at,
        "actor_id": post.author_id,
        "trace_id": cause.trace_id,
        "author_id": post.author_id,
        "source": cause.source(n),
    }
    for media_id in post.media_ids:
        outcome = outcomes.get(media_id)
        if isinstance(outcome, Refusal):
            refused = {**base, "media_id": media_id, "code": outcome.code, "reason": outcome.reason}
            if post.story is not None:
                return StoryRejected(**refused, story_id=post.post_id)
            return PostRejected(**refused, post_id=post.post_id)
        if outcome is not None:
            media.append(outcome)
    if len(media) < len(post.media_ids):
        return None
    if post.story is not None:
        said: dict[str, Any] = {"stickers": list(post.story.stickers), "music": post.story.music}
        return StoryPublished(**base, **said, story_id=post.post_id, media=media[0])
    return PostPublished(
        **base,
        post_id=post.post_id,
        media=media,
        mentions=list(post.mentions),
        tagged=list(post.tagged),
        hashtags=list(post.hashtags),
        place=post.place,
    )


def _subject(event: Decided) -> int:
    return event.story_id if isinstance(event, StoryPublished | StoryRejected) else event.post_id


def _by_id(post: Post) -> int:
    return post.post_id


PUBLISHER: View[Seen] = View(name="publisher", sources=("posts", "media", "stories"), project=project)
"""The emitter of PostPublished, PostRejected, StoryPublished and StoryRejected. No fold: its effect is in the log, and
a replay never runs it."""
