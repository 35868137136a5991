"""Of whom and of what one person may be told now, by the rules: the activity tab, the live stream and push ask here.

Nothing is remembered from one question to the next: whoever is blocked, muted or gone a moment later is not told of.
"""

from __future__ import annotations

from collections.abc import Collection

from sinks.comments import CommentReader
from sinks.posts import PostReader
from sinks.relations import RelationReader
from streams.rules import may_notify, may_open


class RuledAudience:
    """``sinks.notifications.Audience`` of one recipient, by ``streams.rules``. Every method raises ``StoreAway``."""

    def __init__(
        self, recipient_id: int, relations: RelationReader, posts: PostReader, comments: CommentReader
    ) -> None:
        self._recipient_id = recipient_id
        self._relations, self._posts, self._comments = relations, posts, comments

    async def unwelcome(self, actors: Collection[int]) -> set[int]:
        """Those of ``actors`` of whom this person is told nothing."""
        facts = await self._relations.facts(self._recipient_id, actors)
        return {actor for actor in actors if actor != self._recipient_id and not may_notify(facts, actor)}

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
        return {post_id for post_id, row in rows.items() if may_open(row, facts)}
