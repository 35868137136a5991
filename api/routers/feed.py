"""The home feed: skeleton → hydrate → rules → present."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.feed_cards import FeedCards, page_of
from api.home_feed import page
from api.identity import Reader
from api.models import Posts
from api.problems import problems
from api.stores import Opened, Stores
from schemas.ids import MAX_ID
from sinks.errors import StoreAway
from sinks.home_feed_reader import ASLEEP, Skeleton

router = APIRouter(prefix="/api/v1/feed", tags=["feed"])
SOURCE = "Feed-Source"
_LOOKED_AT = 20
"""And twice the page: where rules drop more of these, the page goes on in Cassandra, as below a floor."""
_HEADERS = {
    SOURCE: {
        "description": "`redis`, or `cassandra` while the feed in Redis is away, coming back or being made again.",
        "schema": {"type": "string", "enum": ["redis", "cassandra"]},
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"headers": _HEADERS},
    206: {
        "model": Posts,
        "description": "You were away for long, and your feed is being made again. This page comes from the archive, "
        "in the same order; take it as any other. The next read is most likely a 200.",
        "headers": _HEADERS,
    },
}


@router.get("", response_model=Posts, responses=_ANSWERS | problems(400, 401, 422, 503))
async def get_feed(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 20) -> Response:
    """The posts of those whom one follows, newest first, without end.

    While Redis is away, or has lost data and is being filled again, the same posts come from Cassandra.
    """
    near = counted = True
    if not fresh.asks_nothing:
        near, counted, _ = await asyncio.gather(
            fresh.reach_near(me.user_id),
            fresh.reach_counts(me.user_id),
            fresh.reach(me.user_id, "posts", "user_posts", "accounts", "follows"),
        )
    before, status = cursor or MAX_ID, 200
    if near:
        try:
            await stores.seen.note(me.user_id)
            skeleton = await stores.home_feed.newest(me.user_id, before, _LOOKED_AT + 2 * limit)
            if not skeleton.asleep:
                body = await _page(stores, me.user_id, skeleton, before, limit, counted)
                return _answer(body, "redis", status)
            stores.returning.wake(stores.home_feed.generation, me.user_id)
            status = 206
        except StoreAway:
            pass  # where it is Cassandra that is away, this shows at once below
    return _answer(await _page(stores, me.user_id, ASLEEP, before, limit, counted), "cassandra", status)


def _answer(body: bytes, source: str, status: int) -> Response:
    return Response(body, status, {SOURCE: source}, "application/json")


async def _page(stores: Stores, user_id: int, skeleton: Skeleton, before: int, limit: int, counted: bool) -> bytes:
    """One page. Whose posts it goes on with below the floor is asked where the skeleton came from; the rules say which
    of them are shown."""
    relations = stores.follows if skeleton is ASLEEP else stores.home_feed
    followed: list[int] | None = None

    async def older(before: int, count: int) -> list[int]:
        nonlocal followed
        if followed is None:
            followed = await relations.following_of(user_id)
        return await stores.posts.older(followed, before, count)

    look = FeedCards(stores, user_id, counted).look
    found = await page(skeleton.ids, skeleton.floor, before, limit, older=older, look=look)
    return page_of(found.shown, None if found.after is None else to_cursor(found.after))
