"""Of whom and of what people may be told now, by the rules: the activity tab, the live stream and push ask here.

Nothing is remembered from one question to the next: whoever is blocked, muted or gone a moment later is not told of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import NamedTuple

from sinks.comments import CommentReader
from sinks.posts import PostReader, PostRow
from sinks.relations import RelationReader
from sinks.stories import StoryReader, StoryRow
from streams.notifications import named
from streams.rules import Facts, may_notify, may_open, may_open_story


class Cause(NamedTuple):
    """What somebody did, for one recipient; ``post``, ``comment`` and ``story`` are those that it shows, 0 for none.
    ``named``: as what ``post`` has to name them, if that is what it tells of."""

    recipient_id: int
    actor_id: int
    post: int = 0
    comment: int = 0
    story: int = 0
    named: str = ""


class RuledAudiences:
    """Many recipients at once. Every method raises ``StoreAway``."""

    def __init__(
        self, relations: RelationReader, posts: PostReader, comments: CommentReader, stories: StoryReader
    ) -> None:
        self._relations, self._posts, self._comments, self._stories = relations, posts, comments, stories

    async def told(self, causes: Collection[Cause], now: int) -> set[Cause]:
        """Those of ``causes`` that their recipients may be told of at ``now`` in ms, in three round trips at most, of
        which the second is only for stories that are over."""
        rows, said, stories = await asyncio.gather(
            self._posts.by_ids({cause.post for cause in causes if cause.post}),
            self._comments.standing({cause.comment for cause in causes if cause.comment}),
            self._stories.open_among({cause.story for cause in causes if cause.story}, now),
        )
        about: dict[int | None, set[int]] = {}
        for cause in causes:
            people = about.setdefault(cause.recipient_id, set())
            people.add(cause.actor_id)
            if cause.post in rows:
                people.add(rows[cause.post].author_id)
            if cause.story in stories:
                people.add(stories[cause.story].author_id)
        facts = await self._relations.facts_of(about)
        return {
            cause
            for cause in causes
            if _welcome(facts[cause.recipient_id], cause.actor_id)
            and (not cause.post or _open(rows.get(cause.post), facts[cause.recipient_id]))
            and (not cause.named or _named(rows.get(cause.post), cause.recipient_id) == cause.named)
            and (not cause.comment or cause.comment in said)
            and (not cause.story or _told(stories.get(cause.story), facts[cause.recipient_id], now))
        }


class RuledAudience:
    """``sinks.notifications.Audience`` of one recipient, by ``streams.rules``. Every method raises ``StoreAway``."""

    def __init__(
        self,
        recipient_id: int,
        relations: RelationReader,
        posts: PostReader,
        comments: CommentReader,
        stories: StoryReader,
    ) -> None:
        self._recipient_id = recipient_id
        self._relations, self._posts, self._comments, self._stories = relations, posts, comments, stories

    async def unwelcome(self, actors: Collection[int]) -> set[int]:
        """Those of ``actors`` of whom this person is told nothing."""
        facts = await self._relations.facts(self._recipient_id, actors)
        return {actor for actor in actors if not _welcome(facts, actor)}

    async def standing_comments(self, comment_ids: Collection[int]) -> set[int]:
        """Those of ``comment_ids`` that were not deleted, nor the comment that they reply to."""
        return await self._comments.standing(comment_ids)

    async def tied(self) -> set[int]:
        """Everybody whom this person blocks or mutes, or who blocks them."""
        return await self._relations.tied(self._recipient_id)

    async def open_posts(self, post_ids: Collection[int]) -> set[int]:
        """Those of ``post_ids`` that this person may open."""
        rows = await self._posts.by_ids(post_ids)
        facts = await self._relations.facts(self._recipient_id, {row.author_id for row in rows.values()})
        return {post_id for post_id, row in rows.items() if _open(row, facts)}

    async def naming(self, post_ids: Collection[int]) -> dict[int, str]:
        """As what each of ``post_ids`` names this person now; those that do not are left out."""
        rows = await self._posts.by_ids(post_ids)
        return {post_id: kind for post_id, row in rows.items() if (kind := _named(row, self._recipient_id))}

    async def open_stories(self, story_ids: Collection[int], now: int) -> set[int]:
        """Those of ``story_ids`` that this person may open at ``now``, in ms."""
        rows = await self._stories.open_among(story_ids, now)
        facts = await self._relations.facts(self._recipient_id, {row.author_id for row in rows.values()})
        return {story_id for story_id, row in rows.items() if _told(row, facts, now)}


def _welcome(facts: Facts, actor_id: int) -> bool:
    return actor_id == facts.viewer_id or may_notify(facts, actor_id)


def _open(row: PostRow | None, facts: Facts) -> bool:
    return row is not None and may_open(row, facts)


def _named(row: PostRow | None, person: int) -> str:
    return named(row.mentions, row.tagged).get(person, "") if row is not None else ""


def _told(row: StoryRow | None, facts: Facts, now: int) -> bool:
    return row is not None and may_open_story(row, facts, now)
