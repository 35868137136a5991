"""The home feed: skeleton → hydrate → rules → present."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from api.consistency import Fresh
from api.cursors import FeedCursor, Limit, RankedCursor, to_cursor
from api.feed_cards import FeedCards, page_of
from api.home_feed import page
from api.identity import Reader
from api.models import Posts
from api.problems import Problem, problems
from api.ranking import AWAY, CONTINUED, LATE, WHY, Unranked, begin, go_on
from api.stores import Stores
from schemas.ids import MAX_ID
from sinks.errors import StoreAway
from sinks.home_feed_reader import ASLEEP, Skeleton

router = APIRouter(prefix="/api/v1/feed", tags=["feed"])
SOURCE, ORDER, MODEL, WHY_LATEST = "Feed-Source", "Feed-Order", "Ranking-Model", "Ranking-Fallback"
_LOOKED_AT = 20
"""And twice the page: where rules drop more of these, the page goes on in Cassandra, as below a floor."""
_HEADERS = {
    SOURCE: {
        "description": "`redis`, or `cassandra` while the feed in Redis is away, coming back or being made again.",
        "schema": {"type": "string", "enum": ["redis", "cassandra"]},
    },
    ORDER: {
        "description": "The order of this page: `latest` also where `ranked` was asked for and could not be had.",
        "schema": {"type": "string", "enum": ["latest", "ranked"]},
    },
    MODEL: {"description": "Of a ranked page: the version of the model.", "schema": {"type": "string"}},
    WHY_LATEST: {
        "description": "Of a page that was to be ranked and is in latest order, why: there is no model yet "
        "(`no-model`), ranking took too long (`late`), a store is away (`store-away`), your feed is being made again "
        "(`asleep`), or the cursor is one of latest order, as it is below what was ranked (`continued`).",
        "schema": {"type": "string", "enum": list(WHY)},
    },
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
Order = Annotated[
    Literal["latest", "ranked"],
    Query(
        description="`latest`: newest first. `ranked`: of the newest 500 first what you will most likely save, share, "
        "comment on or like, never three posts of one author in a row while there are others; then the rest, newest "
        "first. Where ranking cannot be had the page is in latest order, and `Ranking-Fallback` says why."
    ),
]


@router.get("", response_model=Posts, responses=_ANSWERS | problems(400, 401, 410, 422, 503))
async def get_feed(
    me: Reader, fresh: Fresh, cursor: FeedCursor, limit: Limit = 20, order: Order = "latest"
) -> Response:
    """The posts of those whom one follows, newest first or ranked, without end.

    While Redis is away, or has lost data and is being filled again, the same posts come from Cassandra, newest first.
    A ranked feed can be gone on with for half an hour; after that its cursor is answered by 410, and the feed begins
    anew without one.
    """
    if isinstance(cursor, RankedCursor) and order == "latest":
        detail = "This cursor goes on in a ranked feed: ask with order=ranked, or leave it out."
        raise Problem(400, "invalid-cursor", detail)
    stores = fresh.stores
    near = counted = True
    if not fresh.asks_nothing:
        near, counted, _ = await asyncio.gather(
            fresh.reach_near(me.user_id),
            fresh.reach_counts(me.user_id),
            fresh.reach(me.user_id, "posts", "user_posts", "accounts", "follows"),
        )
    why: str | None = None
    if isinstance(cursor, RankedCursor):
        return await _go_on(stores, me.user_id, cursor, limit, counted)
    if order == "ranked":
        try:
            if cursor is not None:
                raise Unranked(CONTINUED)
            if not near:
                raise Unranked(AWAY)
            if not await fresh.holds(me.user_id, "affinity", "trending"):
                raise Unranked(LATE)
            ranked = await begin(stores, me.user_id, limit, counted)
            await stores.seen.note(me.user_id)
            return _answer(ranked.body, "redis", 200, {ORDER: "ranked", MODEL: ranked.version})
        except Unranked as error:
            why = error.why
        except StoreAway:  # Redis, where it went while the page was made; Cassandra shows at once below
            why = AWAY
    said = {ORDER: "latest"} | ({WHY_LATEST: why} if why else {})
    before, status = cursor or MAX_ID, 200
    if near:
        try:
            await stores.seen.note(me.user_id)
            skeleton = await stores.home_feed.newest(me.user_id, before, _LOOKED_AT + 2 * limit)
            if not skeleton.asleep:
                body = await _page(stores, me.user_id, skeleton, before, limit, counted)
                return _answer(body, "redis", status, said)
            stores.returning.wake(stores.home_feed.generation, me.user_id)
            status = 206
        except StoreAway:
            pass  # where it is Cassandra that is away, this shows at once below
    body = await _page(stores, me.user_id, ASLEEP, before, limit, counted)
    return _answer(body, "cassandra", status, said)


async def _go_on(stores: Stores, user_id: int, cursor: RankedCursor, limit: int, counted: bool) -> Response:
    ranked = await go_on(stores, user_id, cursor, limit, counted)
    if ranked is None:
        detail = "This ranked feed is not kept any more. Ask for it again without a cursor."
        raise Problem(410, "ranking-over", detail)
    await stores.seen.note(user_id)
    return _answer(ranked.body, "redis", 200, {ORDER: "ranked", MODEL: ranked.version})


def _answer(body: bytes, source: str, status: int, said: dict[str, str]) -> Response:
    return Response(body, status, {SOURCE: source, **said}, "application/json")


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
