"""A feed in ranked order: candidates → features → probabilities → spacing, kept while its pages are turned.

What may be shown is decided for each page as it is read, by the same rules as in latest order. Where a rule drops a
post, it leaves the list, and what comes after is spaced again: so no page ever shows three posts of one author in a
row while there are others, nothing comes twice, and a page that is asked for again is the same.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from api.cursors import RankedCursor, to_cursor, to_ranked_cursor
from api.feed_cards import FeedCards, page_of
from api.stores import Stores
from schemas.ids import MAX_ID
from sinks.errors import StoreAway
from sinks.ranked_lists import RankedList
from sinks.ranking_models import RankingModel
from streams.ranking import IN_A_ROW, Candidate, features, ranked, spaced, values
from streams.rules import is_public
from streams.trending import STEP_MS

CANDIDATES = 500
"""The newest so many are ranked; below them the feed goes on in latest order."""
_ROUNDS = 8
_SPARE = 5
NO_MODEL, LATE, AWAY, ASLEEP, CONTINUED = "no-model", "late", "store-away", "asleep", "continued"
WHY = (NO_MODEL, LATE, AWAY, ASLEEP, CONTINUED)
"""Why a ranked feed that was asked for is in latest order."""


class Unranked(Exception):
    """This page cannot be ranked: ``why`` is one of ``WHY``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RankedPage(NamedTuple):
    """The JSON of a page, and which model ranked it."""

    body: bytes
    version: str


async def begin(stores: Stores, user_id: int, limit: int, counted: bool, version: str = "") -> RankedPage:
    """Rank one person's feed, by the current model unless a ``version`` is named, keep it, and show its first page.
    Raises ``Unranked``; and ``StoreAway`` where it is Cassandra that is away."""
    models = stores.ranking_models
    try:
        async with asyncio.timeout(stores.settings.ranking_seconds):
            model = await (models.named(version) if version else models.current())
            if model is None:
                raise Unranked(NO_MODEL)
            found = await _ranked(stores, user_id, model)
            list_id = stores.snowflakes.next()
            await stores.ranked_lists.keep(user_id, list_id, found)
    except TimeoutError:
        raise Unranked(LATE) from None
    except StoreAway:
        raise Unranked(AWAY) from None
    return await _page(stores, user_id, found, RankedCursor(list_id, 0), limit, counted)


async def go_on(stores: Stores, user_id: int, cursor: RankedCursor, limit: int, counted: bool) -> RankedPage | None:
    """The page of a feed that was ranked before; None where that is not kept any more. Raises ``StoreAway``."""
    kept = await stores.ranked_lists.get(user_id, cursor.list_id)
    return None if kept is None else await _page(stores, user_id, kept, cursor, limit, counted)


async def _ranked(stores: Stores, user_id: int, model: RankingModel) -> RankedList:
    skeleton = await stores.home_feed.newest(user_id, MAX_ID, CANDIDATES)
    if skeleton.asleep:
        raise Unranked(ASLEEP)
    remembered = stores.remembered
    rows = (await remembered.posts(skeleton.ids, await asyncio.shield(remembered.asked()))).values()
    posts = [
        Candidate(
            row.post_id,
            row.author_id,
            len(row.media_ids),
            len(row.hashtags),
            bool(row.place),
            bool(row.mentions or row.tagged),
        )
        for row in (kept.row for kept in rows)
        if is_public(row)
    ]
    now = stores.clock()
    pairs, velocities = await asyncio.gather(
        stores.affinity.of(user_id, sorted({post.author_id for post in posts})),
        stores.trending.velocities([post.post_id for post in posts], now // STEP_MS),
    )
    best: list[Candidate] = []
    if posts:
        # On a thread, so that a model which takes long keeps nobody else waiting, and can be late.
        best = ranked(
            posts, values(await asyncio.to_thread(model.probabilities, features(posts, pairs, velocities, now)))
        )
    tail = skeleton.floor + 1 if skeleton.floor else 0
    return RankedList(model.version, tail, [post.post_id for post in best], [post.author_id for post in best])


async def _page(
    stores: Stores, user_id: int, kept: RankedList, cursor: RankedCursor, limit: int, counted: bool
) -> RankedPage:
    """From ``cursor`` on ``limit`` posts that may be shown."""
    cards, begun = FeedCards(stores, user_id, counted), cursor.place
    visible: dict[int, bytes] = {}
    now = kept
    for _ in range(_ROUNDS):
        window = now.posts[begun : begun + limit]
        unseen = [post for post in now.posts[begun : begun + limit + _SPARE] if post not in visible]
        if all(post in visible for post in window):
            break
        visible |= await cards.look(unseen)
        now = _without(now, begun, {post for post in unseen if post not in visible})
    if now is not kept:
        await stores.ranked_lists.keep(user_id, cursor.list_id, now)
    shown = [visible[post] for post in now.posts[begun : begun + limit] if post in visible]
    end = begun + len(shown)
    after: str | None = None
    if end < len(now.posts):
        after = to_ranked_cursor(RankedCursor(cursor.list_id, end))
    elif now.tail:
        after = to_cursor(now.tail)
    return RankedPage(page_of(shown, after), now.version)


def _without(kept: RankedList, begun: int, dropped: set[int]) -> RankedList:
    """``kept`` without the posts ``dropped``, all of them at ``begun`` or later, and spaced again from there on."""
    if not dropped:
        return kept
    rest = [n for n in range(begun, len(kept.posts)) if kept.posts[n] not in dropped]
    order = spaced([kept.authors[n] for n in rest], kept.authors[max(begun - IN_A_ROW, 0) : begun])
    places = [*range(begun), *(rest[n] for n in order)]
    return kept._replace(posts=[kept.posts[n] for n in places], authors=[kept.authors[n] for n in places])
