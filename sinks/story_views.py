"""Reads the ``story_views`` view: viewers and reactions for a story's author, and what a viewer has seen of whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from sinks.cassandra import Cassandra
from sinks.view_tables import table_name
from streams.story_views import SAW, closeness


class Viewer(NamedTuple):
    """Somebody who saw a story, or reacted to it. Times are in ms."""

    viewer_id: int
    viewed_at: int | None
    completed: bool
    reaction: str | None


class Acquaintance(NamedTuple):
    """What a viewer has to do with stories: ``seen`` ids, and how close each author is, where they are at all."""

    seen: frozenset[int]
    close: dict[int, int]


class StoryViewReader:
    """Raises ``StoreAway``, everywhere. ``now`` is in ms: what has ended by then is left out, wherever it is asked."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        names = ("story_views", "story_reactions", "stories_seen")
        views, reactions, seen = (table_name(name, generation) for name in names)
        after = "WHERE story_id = ? AND viewer_id > ? LIMIT ?"
        self._views = f"SELECT viewer_id, viewed_at, completed, expires_at FROM {views} {after}"  # noqa: S608
        self._reactions = f"SELECT viewer_id, reaction, expires_at FROM {reactions} {after}"  # noqa: S608
        self._reaction = f"SELECT reaction, expires_at FROM {reactions} WHERE story_id = ? AND viewer_id = ?"  # noqa: S608
        self._seen = f"SELECT author_id, story_id, kind, at, expires_at FROM {seen} WHERE viewer_id = ?"  # noqa: S608

    async def viewers(self, story_id: int, after: int, limit: int, now: int) -> list[Viewer]:
        """The first ``limit`` above ``after`` of those who saw it or reacted to it, by id; fewer only at the end."""
        found: dict[int, Viewer] = {}
        while True:
            params = (story_id, after, limit)
            seen, said = await asyncio.gather(
                self._cassandra.execute(self._views, params), self._cassandra.execute(self._reactions, params)
            )
            # Each answer holds all of its kind up to its last id; where both do, nobody is missing.
            ends = [rows[-1].viewer_id for rows in (seen, said) if len(rows) == limit]
            reached = min(ends, default=None)
            for row in seen:
                if (reached is None or row.viewer_id <= reached) and row.expires_at > now:
                    found[row.viewer_id] = Viewer(row.viewer_id, row.viewed_at, bool(row.completed), None)
            for row in said:
                if (reached is None or row.viewer_id <= reached) and row.expires_at > now:
                    one = found.get(row.viewer_id) or Viewer(row.viewer_id, None, False, None)
                    found[row.viewer_id] = one._replace(reaction=row.reaction)
            if reached is None or len(found) >= limit:
                return [found[viewer_id] for viewer_id in sorted(found)[:limit]]
            after = reached

    async def reactions(self, viewer_id: int, story_ids: Sequence[int], now: int) -> dict[int, str]:
        """What ``viewer_id`` says to each of ``story_ids``, where they say anything."""
        answers = await self._cassandra.execute_each((self._reaction, (one, viewer_id)) for one in story_ids)
        return {
            story_id: row.reaction
            for story_id, rows in zip(story_ids, answers, strict=True)
            for row in rows
            if row.expires_at > now
        }

    async def acquaintance(self, viewer_id: int, now: int, author_id: int | None = None) -> Acquaintance:
        """What ``viewer_id`` did with stories before ``now`` that still counts; with one author only, where given."""
        if author_id is None:
            rows = await self._cassandra.execute(self._seen, (viewer_id,))
        else:
            rows = await self._cassandra.execute(f"{self._seen} AND author_id = ?", (viewer_id, author_id))
        kinds: dict[int, list[int]] = {}
        living = [row for row in rows if row.at <= now < row.expires_at]
        for row in living:
            kinds.setdefault(row.author_id, []).append(row.kind)
        seen = frozenset(row.story_id for row in living if row.kind == SAW)
        return Acquaintance(seen, {author: closeness(of) for author, of in kinds.items()})
