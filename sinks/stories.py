"""Reads the ``stories`` view: stories and highlights."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.events import RenderedMedia, Sticker
from sinks.cassandra import Cassandra, Row, in_chunks, together
from sinks.view_tables import table_name
from streams.stories import DELETED, PUBLISHED, REJECTED, SUBMITTED
from streams.story_tray import Told

_MEDIA = msgspec.json.Decoder(RenderedMedia)
_STICKERS = msgspec.json.Decoder(list[Sticker])


class StoryRow(NamedTuple):
    """A story, by what the log says of it. Times are in ms; what stickers say is sealed.

    ``expires_at`` None: it stands in a highlight, and has no end. What has ended is given as well while the store still
    holds it: the rules drop it.
    """

    story_id: int
    author_id: int
    status: Literal["processing", "published", "rejected"]
    submitted_at: int | None
    published_at: int | None
    expires_at: int | None
    media: RenderedMedia | None = None
    stickers: Sequence[Sticker] = ()
    music: str = ""
    code: str | None = None
    reason: str | None = None
    deleted: bool = False


class HighlightRow(NamedTuple):
    """A highlight that stands. ``name`` is sealed under its author's key."""

    highlight_id: int
    author_id: int
    name: bytes
    made_at: int


class StoryReader:
    """Stories by id and by author, and highlights. Raises ``StoreAway``, everywhere."""

    def __init__(self, cassandra: Cassandra, generation: int = 1) -> None:
        self._cassandra = cassandra
        names = ("stories", "user_stories", "highlights", "highlight_stories", "kept_stories")
        stories, by_author, highlights, listed, kept = (table_name(name, generation) for name in names)
        self._by_ids = (
            "SELECT story_id, said, author_id, at, expires_at, media, stickers, music, code, reason "  # noqa: S608
            f"FROM {stories} WHERE story_id IN ?"
        )
        self._heads = f"SELECT story_id, said, author_id, at, expires_at FROM {stories} WHERE story_id IN ?"  # noqa: S608
        self._of = f"SELECT story_id, expires_at FROM {by_author} WHERE author_id IN ?"  # noqa: S608
        self._highlights = f"SELECT author_id, highlight_id, name, made_at, deleted FROM {highlights}"  # noqa: S608
        self._listed = f"SELECT story_id FROM {listed} WHERE author_id = ? AND highlight_id = ?"  # noqa: S608
        self._kept = (
            "SELECT story_id, highlight_id, author_id, published_at, media, stickers, music "  # noqa: S608
            f"FROM {kept} WHERE story_id IN ?"
        )

    async def by_ids(self, ids: Collection[int]) -> dict[int, StoryRow]:
        """The stories among ``ids`` of which the view still knows anything besides highlights, deleted ones too."""
        rows: dict[int, dict[int, Row]] = {}
        for row in await in_chunks(self._cassandra, self._by_ids, ids):
            rows.setdefault(row.story_id, {})[row.said] = row
        return {story_id: _story(story_id, said) for story_id, said in rows.items()}

    async def open(self, story_id: int, now: int) -> StoryRow | None:
        """One story as it is to be shown at ``now`` in ms: while it lives, or as a highlight that stands keeps it."""
        return (await self.open_among([story_id], now)).get(story_id)

    async def open_among(self, ids: Collection[int], now: int) -> dict[int, StoryRow]:
        """What is known of the stories ``ids``, as ``open`` gives each."""
        found, kept = await asyncio.gather(self.by_ids(ids), self._kept_of(ids))
        over = {
            one for one in ids if one not in found or not (found[one].deleted or (found[one].expires_at or 0) > now)
        }
        kept = [one for one in kept if one.story_id in over]
        named = {(one.author_id, one.highlight_id) for one in kept}
        highlights = await together(self.highlight(*one) for one in named)
        standing = {one.highlight_id for one in highlights if one is not None}
        return found | {one.story_id: _kept(one) for one in kept if one.highlight_id in standing}

    async def told(self, ids: Collection[int], now: int) -> list[Told]:
        """Those of ``ids`` that live at ``now``, in no order: without what they show."""
        published: dict[int, Told] = {}
        deleted: set[int] = set()
        for row in await in_chunks(self._cassandra, self._heads, ids):
            if row.said == DELETED:
                deleted.add(row.story_id)
            elif row.said == PUBLISHED and row.expires_at > now:
                published[row.story_id] = Told(row.story_id, row.author_id, row.at)
        return [told for story_id, told in published.items() if story_id not in deleted]

    async def of_authors(self, author_ids: Collection[int], now: int) -> list[int]:
        """Ids of what these people published that lives at ``now``, deleted ones too, in no order."""
        rows = await in_chunks(self._cassandra, self._of, author_ids)
        return [row.story_id for row in rows if row.expires_at > now]

    async def highlights(self, author_id: int) -> list[HighlightRow]:
        """Somebody's highlights, the newest first."""
        rows = await self._cassandra.execute(f"{self._highlights} WHERE author_id = ?", (author_id,))
        return [_highlight(row) for row in rows if _stands(row)]

    async def highlight(self, author_id: int, highlight_id: int) -> HighlightRow | None:
        """One of somebody's highlights; None where it is not theirs, or gone."""
        cql = f"{self._highlights} WHERE author_id = ? AND highlight_id = ?"
        rows = await self._cassandra.execute(cql, (author_id, highlight_id))
        return _highlight(rows[0]) if rows and _stands(rows[0]) else None

    async def highlighted(self, author_id: int, highlight_id: int) -> list[StoryRow]:
        """The stories in a highlight, the newest first, without deleted ones."""
        ids = [row.story_id for row in await self._cassandra.execute(self._listed, (author_id, highlight_id))]
        found, rows = await asyncio.gather(self.by_ids(ids), self._kept_of(ids))
        kept = {row.story_id: row for row in rows if row.highlight_id == highlight_id}
        gone = {story_id for story_id, row in found.items() if row.deleted}
        return [_kept(kept[story_id]) for story_id in ids if story_id in kept and story_id not in gone]

    async def _kept_of(self, ids: Collection[int]) -> list[Row]:
        return await in_chunks(self._cassandra, self._kept, ids)


def _story(story_id: int, said: dict[int, Row]) -> StoryRow:
    first = next(iter(said.values()))
    submitted, published, rejected = (said.get(kind) for kind in (SUBMITTED, PUBLISHED, REJECTED))
    submitted_at = None if submitted is None else submitted.at
    deleted = DELETED in said
    if published is not None:
        shown = _shown(published)
        row = StoryRow(story_id, first.author_id, "published", submitted_at, published.at, published.expires_at, *shown)
        return row._replace(deleted=deleted)
    ends = max((row.expires_at or 0 for row in said.values()), default=0)
    status: Literal["processing", "rejected"] = "processing" if rejected is None else "rejected"
    row = StoryRow(story_id, first.author_id, status, submitted_at, None, ends, deleted=deleted)
    return row if rejected is None else row._replace(code=rejected.code, reason=rejected.reason)


def _kept(row: Row) -> StoryRow:
    return StoryRow(row.story_id, row.author_id, "published", None, row.published_at, None, *_shown(row))


def _shown(row: Row) -> tuple[RenderedMedia, list[Sticker], str]:
    return _MEDIA.decode(row.media), _STICKERS.decode(row.stickers), row.music


def _stands(row: Row) -> bool:
    return not row.deleted and row.made_at is not None


def _highlight(row: Row) -> HighlightRow:
    return HighlightRow(row.highlight_id, row.author_id, row.name, row.made_at)
