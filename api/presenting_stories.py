"""Stories and trays as a person reads them: ids, rules, then people and pictures."""

from __future__ import annotations

import asyncio
import base64
import binascii
import struct
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from api.models import Picture
from api.models_stories import Sticker, Story, Tray, TrayEntry, TrayStory
from api.presenting import Presenter, moment
from api.problems import Problem
from api.stores import Stores
from schemas.ids import MAX_ID, made_at
from sinks.errors import StoreAway
from sinks.home_feed_reader import Skeleton
from sinks.sealing import opened
from sinks.stories import StoryRow
from streams.rules import Facts, in_tray, keeps_pictures, may_open_story
from streams.stories import LIFE_MS
from streams.story_tray import Place, Told, tray

LATE_MS = 6 * 3_600_000
"""A story is looked for past a tray's floor unless it was submitted so much earlier than 24 hours ago: for so long may
its picture have taken."""
_PLACE = struct.Struct(">Q?IQQ")


class TrayCursor(NamedTuple):
    """Where a tray goes on: as it was ``at`` (ms), after ``place``. What came since moves nobody."""

    at: int
    place: Place

    def text(self) -> str:
        """For the client."""
        place = self.place
        raw = _PLACE.pack(self.at, place.all_seen, -place.distance, -place.age, place.author_id)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_tray_cursor(text: str) -> TrayCursor:
    """What ``TrayCursor.text`` wrote; raises ``Problem`` 400 for anything else."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        at, all_seen, close, newest, author_id = _PLACE.unpack(raw)
    except (binascii.Error, ValueError, struct.error):
        at = newest = author_id = MAX_ID + 1
        all_seen, close = False, 0
    found = TrayCursor(at, Place(all_seen, -close, -newest, author_id))
    if max(at, newest, author_id) > MAX_ID or found.text() != text:
        detail = "This cursor was not made here. Take `next_cursor` of the previous page as it is, or leave it out."
        raise Problem(400, "invalid-cursor", detail)
    return found


class StoryPresenter:
    """Turns stories into models, for one viewer (None for a stranger) and one moment."""

    def __init__(self, stores: Stores, viewer_id: int | None) -> None:
        self._stores = stores
        self._viewer_id = viewer_id
        self._presenter = Presenter(stores)
        self._now = stores.clock()

    async def stories(self, rows: Sequence[StoryRow]) -> list[Story]:
        """Those of ``rows``, stories of one author, that the viewer may see now, in their order."""
        authors = {row.author_id for row in rows}
        facts = await self._stores.relations.facts(self._viewer_id, authors)
        rows = [row for row in rows if may_open_story(row, facts, self._now)]
        if not rows:
            return []
        author_id, ids = rows[0].author_id, [row.story_id for row in rows]
        people, keys, (seen, said) = await asyncio.gather(
            self._presenter.people(self._viewer_id, authors),
            self._stores.keys.get_many([author_id]),
            self._own(author_id, ids),
        )
        public = not keeps_pictures(facts.standing(author_id))
        return [
            Story(
                id=str(row.story_id),
                author=people[author_id],
                status=row.status,
                picture=self._picture(row, public),
                stickers=[
                    Sticker(
                        **{name: getattr(one, name) for name in ("kind", "x", "y", "turn", "size")},
                        content=opened(keys, author_id, one.content),
                    )
                    for one in row.stickers
                ],
                music_id=row.music,
                published_at=moment(row.published_at),
                expires_at=moment(row.expires_at),
                seen=row.story_id in seen,
                my_reaction=said.get(row.story_id),
                code=row.code,
                reason=row.reason,
            )
            for row in rows
        ]

    def _picture(self, row: StoryRow, public: bool) -> Picture | None:
        if row.media is None:
            return None
        # A living story's picture is seen no longer than the story; one that a highlight keeps has no end.
        until = None if row.expires_at is None else row.expires_at // 1000
        return self._presenter.picture(row.media, public=public, until=until)

    async def _own(self, author_id: int, ids: Sequence[int]) -> tuple[Collection[int], dict[int, str]]:
        """Which of ``ids`` the viewer saw, and what they said to them."""
        viewer_id, views = self._viewer_id, self._stores.story_views
        if viewer_id is None:
            return (), {}
        known, said = await asyncio.gather(
            views.acquaintance(viewer_id, self._now, author_id), views.reactions(viewer_id, ids, self._now)
        )
        return known.seen, said

    async def tray(self, viewer_id: int, near: bool, cursor: TrayCursor | None, limit: int) -> Tray:
        """A page of the viewer's tray. ``near``: the trays in Redis may be asked."""
        stores = self._stores
        at = min(cursor.at, self._now) if cursor else self._now
        ids, known = await asyncio.gather(
            self._candidates(viewer_id, near), stores.story_views.acquaintance(viewer_id, at)
        )
        told = [one for one in await stores.stories.told(ids, self._now) if one.at <= at]
        facts = await stores.relations.facts(viewer_id, {one.author_id for one in told})
        shown = tray((one for one in told if in_tray(one.author_id, facts)), known.seen, known.close)
        left = [entry for entry in shown if cursor is None or entry.place > cursor.place]
        people = await self._presenter.people(viewer_id, [entry.place.author_id for entry in left[:limit]])
        items = [
            TrayEntry(
                author=people[entry.place.author_id],
                all_seen=entry.place.all_seen,
                stories=[_in_tray(one, one.story_id in known.seen) for one in entry.stories],
            )
            for entry in left[:limit]
            if entry.place.author_id in people
        ]
        after = TrayCursor(at, left[limit - 1].place).text() if len(left) > limit else None
        return Tray(items=items, next_cursor=after)

    async def _candidates(self, viewer_id: int, near: bool) -> set[int]:
        """Ids of all stories that the tray may show, and of others. From Redis; where it is away, coming back, or holds
        too few, from what everybody whom the viewer follows has published."""
        stores = self._stores
        skeleton: Skeleton | None = None
        if near:
            with suppress(StoreAway):  # where it is Cassandra that is away, this shows at once below
                skeleton = await stores.story_tray.skeleton(viewer_id)
        found = set(skeleton.ids) if skeleton else set()
        if skeleton is None or (skeleton.floor and made_at(skeleton.floor) + LIFE_MS + LATE_MS > self._now):
            followed = await stores.follows.following_of(viewer_id)
            found |= set(await stores.stories.of_authors(followed, self._now))
        return found


def _in_tray(story: Told, seen: bool) -> TrayStory:
    published, expires = moment(story.at), moment(story.at + LIFE_MS)
    assert published is not None and expires is not None  # noqa: S101 (0 was never a story's time)
    return TrayStory(id=str(story.story_id), published_at=published, expires_at=expires, seen=seen)


async def may_see(stores: Stores, row: StoryRow, viewer_id: int | None) -> bool:
    """Whether ``viewer_id`` may open this story now."""
    facts: Facts = await stores.relations.facts(viewer_id, [row.author_id])
    return may_open_story(row, facts, stores.clock())
