"""The home feed: skeleton → hydrate → rules → present."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from api.consistency import Fresh
from api.cursors import CursorText, Limit, RankedCursor, from_feed_cursor, to_cursor
from api.feed_cards import FeedCards, page_of
from api.home_feed import ArchiveAway, page
from api.identity import Reader
from api.models import Posts
from api.problems import Problem, problems
from api.ranking import AWAY, CONTINUED, LATE, WHY, Unranked, begin, go_on
from api.stores import Stores
from schemas.ids import MAX_ID
from sinks.errors import StoreAway
from sinks.home_feed_reader import ASLEEP, Skeleton
from streams.experiments import LATEST, Exposure, assigned

router = APIRouter(prefix="/api/v1/feed", tags=["feed"])
SOURCE, ORDER, MODEL, WHY_LATEST = "Feed-Source", "Feed-Order", "Ranking-Model", "Ranking-Fallback"
MISSING, EXPOSURE = "Feed-Missing", "Feed-Exposure"
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
    MODEL: {
        "description": "Of a ranked page: the version of the model.",
        "schema": {"type": "string"},
        "example": "20260102T030405-0123456789ab",
    },
    WHY_LATEST: {
        "description": "Of a page that was to be ranked and is in latest order, why: there is no model yet "
        "(`no-model`), ranking took too long (`late`), a store is away (`store-away`), your feed is being made again "
        "(`asleep`), or the cursor is one of latest order, as it is below what was ranked (`continued`).",
        "schema": {"type": "string", "enum": list(WHY)},
    },
    MISSING: {
        "description": "While Cassandra is away: how many posts were left out of this page because nothing of them is "
        "remembered, or it may be out of date. Ask for the same page again later to see them.",
        "schema": {"type": "integer"},
        "example": 3,
    },
    EXPOSURE: {
        "description": "Where an experiment decided which feed this is: bring it back as `exposure` of the posts that "
        "were seen on this page, with POST /api/v1/activity.",
        "schema": {"type": "string"},
        "example": "order-1/ranked/20260102T030405-0123456789ab",
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
    Literal["latest", "ranked"] | None,
    Query(
        description="`latest`: newest first. `ranked`: of the newest 500 first what you will most likely save, share, "
        "comment on or like, never three posts of one author in a row while there are others; then the rest, newest "
        "first. Where ranking cannot be had the page is in latest order, and `Ranking-Fallback` says why. Left out: "
        "latest, unless an experiment has you see another one.",
        examples=["ranked"],
    ),
]


@router.get("", response_model=Posts, responses=_ANSWERS | problems(400, 401, 410, 422, 503))
async def get_feed(
    me: Reader, fresh: Fresh, cursor: CursorText = None, limit: Limit = 20, order: Order = None
) -> Response:
    """The posts of those whom one follows, newest first or ranked, without end.

    While Redis is away, or has lost data and is being filled again, the same posts come from Cassandra, newest first.
    While Cassandra is away, posts are shown as far as this gateway remembers them and the log has said nothing of them
    and their authors since; `Feed-Missing` counts the others.
    A ranked feed can be gone on with for half an hour; after that its cursor is answered by 410, and the feed begins
    anew without one.
    """
    # Not a dependency, as other lists have it: each costs a page 4 % of its time.
    at = None if cursor is None else from_feed_cursor(cursor)
    stores = fresh.stores
    exposure, version = None, ""
    if order is None:
        order = "latest"
        if given := assigned(stores.experiments, me.user_id):
            exposure, version = Exposure(given[0].name, given[1].name), given[1].model
            order = "latest" if given[1].name == LATEST else "ranked"
    if isinstance(at, RankedCursor) and order == "latest":
        detail = "This cursor goes on in a ranked feed: ask with order=ranked, or leave it out."
        raise Problem(400, "invalid-cursor", detail)
    near = counted = True
    if not fresh.asks_nothing:
        near, counted, _ = await asyncio.gather(
            fresh.reach_near(me.user_id),
            fresh.reach_counts(me.user_id),
            fresh.reach(me.user_id, "posts", "user_posts", "accounts", "follows"),
        )
    why: str | None = None
    if isinstance(at, RankedCursor):
        return await _go_on(stores, me.user_id, at, limit, counted, exposure)
    if order == "ranked":
        try:
            if at is not None:
                raise Unranked(CONTINUED)
            if not near:
                raise Unranked(AWAY)
            if not await fresh.holds(me.user_id, "affinity", "trending"):
                raise Unranked(LATE)
            ranked = await begin(stores, me.user_id, limit, counted, version)
            await stores.seen.note(me.user_id)
            return _answer(ranked.body, "redis", 200, _ranked(ranked.version, exposure))
        except Unranked as error:
            why = error.why
        except StoreAway:  # Redis, where it went while the page was made; Cassandra shows at once below
            why = AWAY
    said = {ORDER: "latest"} | ({WHY_LATEST: why} if why else {}) | ({EXPOSURE: exposure.text()} if exposure else {})
    before, status = at or MAX_ID, 200
    if near:
        try:
            await stores.seen.note(me.user_id)
            cards = FeedCards(stores, me.user_id, counted, whole=False)
            skeleton = await stores.home_feed.newest(me.user_id, before, _LOOKED_AT + 2 * limit)
            if not skeleton.asleep:
                body, missing = await _page(stores, cards, me.user_id, skeleton, before, limit)
                return _answer(body, "redis", status, said | ({MISSING: str(missing)} if missing else {}))
            stores.returning.wake(stores.home_feed.generation, me.user_id)
            status = 206
        except StoreAway:
            pass  # where it is Cassandra that is away, this shows at once below
    cards = FeedCards(stores, me.user_id, counted, whole=False)
    body, _ = await _page(stores, cards, me.user_id, ASLEEP, before, limit)
    return _answer(body, "cassandra", status, said)


async def _go_on(
    stores: Stores, user_id: int, cursor: RankedCursor, limit: int, counted: bool, exposure: Exposure | None
) -> Response:
    ranked = await go_on(stores, user_id, cursor, limit, counted)
    if ranked is None:
        detail = "This ranked feed is not kept any more. Ask for it again without a cursor."
        raise Problem(410, "ranking-over", detail)
    await stores.seen.note(user_id)
    return _answer(ranked.body, "redis", 200, _ranked(ranked.version, exposure))


def _ranked(version: str, exposure: Exposure | None) -> dict[str, str]:
    shown = {EXPOSURE: exposure._replace(model=version).text()} if exposure else {}
    return {ORDER: "ranked", MODEL: version, **shown}


def _answer(body: bytes, source: str, status: int, said: dict[str, str]) -> Response:
    return Response(body, status, {SOURCE: source, **said}, "application/json")


async def _page(
    stores: Stores, cards: FeedCards, user_id: int, skeleton: Skeleton, before: int, limit: int
) -> tuple[bytes, int]:
    """One page, and how many posts it has not because Cassandra is away; ``StoreAway`` where that is all of them. Whose
    posts it goes on with below the floor is asked where the skeleton came from; the rules say which of them are
    shown."""
    relations = stores.follows if skeleton is ASLEEP else stores.home_feed
    followed: list[int] | None = None

    async def older(before: int, count: int) -> list[int]:
        nonlocal followed
        if followed is None:
            followed = await relations.following_of(user_id)
        try:
            return await stores.posts.older(followed, before, count)
        except StoreAway as away:
            raise ArchiveAway(str(away)) from away

    found = await page(skeleton.ids, skeleton.floor, before, limit, older=older, look=cards.look)
    if cards.missing and not found.shown:
        raise StoreAway("nothing of this page is remembered")
    return page_of(found.shown, None if found.after is None else to_cursor(found.after)), cards.missing
