"""The pages of hashtags and of places: how many posts name one, the newest and the top ones."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.consistency import Fresh, Freshness
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Visitor
from api.models_tagged import TaggedPosts
from api.problems import not_found, problems
from api.stores import Opened, Stores
from api.tagged import Tagged
from sinks.errors import StoreAway
from streams.text import fold
from streams.trending import HASHTAGS, PLACES, name_of

router = APIRouter(prefix="/api/v1", tags=["hashtags and places"])
_PAGE = problems(400, 401, 404, 422, 503)
Order = Annotated[
    Literal["newest", "top"],
    Query(description="The newest first; or of the newest 500 those first that people turned to most."),
]
Hashtag = Annotated[str, Path(description="A hashtag, without its sign.", max_length=200, examples=["dusk"])]
PlaceName = Annotated[str, Path(description="A place, as posts name it.", max_length=200, examples=["London"])]


@router.get("/hashtags/{hashtag}", responses=_PAGE)
async def get_hashtag(
    hashtag: Hashtag,
    visitor: Visitor,
    stores: Opened,
    fresh: Fresh,
    cursor: Cursor,
    order: Order = "newest",
    limit: Limit = 30,
) -> TaggedPosts:
    """The posts with a hashtag. One that none of the posts that you may see has is not there for you."""
    viewer_id = visitor.user_id if visitor else None
    return await _page(stores, viewer_id, fresh, HASHTAGS, fold(hashtag), order, cursor, limit)


@router.get("/places/{place:path}", responses=_PAGE)
async def get_place(
    place: PlaceName,
    visitor: Visitor,
    stores: Opened,
    fresh: Fresh,
    cursor: Cursor,
    order: Order = "newest",
    limit: Limit = 30,
) -> TaggedPosts:
    """The posts from a place. One that none of the posts that you may see names is not there for you."""
    viewer_id = visitor.user_id if visitor else None
    return await _page(stores, viewer_id, fresh, PLACES, place, order, cursor, limit)


async def _page(
    stores: Stores,
    viewer_id: int | None,
    fresh: Freshness,
    kind: str,
    item: str,
    order: str,
    cursor: int | None,
    limit: int,
) -> TaggedPosts:
    reached = fresh.reach(viewer_id or 0, "tagged_posts", "posts", "accounts", "follows")
    # The reader's own posts are counted too.
    counted, _ = await asyncio.gather(fresh.reach_counts(viewer_id or 0, ("engagement", "posts")), reached)
    name = name_of(kind, item)
    tagged = Tagged(stores, viewer_id, name, counted)
    found = await (tagged.top if order == "top" else tagged.newest)(cursor, limit)
    if cursor is None and not found.shown:
        raise not_found("hashtag" if kind == HASHTAGS else "place")
    return TaggedPosts(
        name=item,
        post_count=await _count(stores, name) if counted else None,
        items=found.shown,
        next_cursor=None if found.after is None else to_cursor(found.after),
    )


async def _count(stores: Stores, name: str) -> int | None:
    try:
        return (await stores.counters.named([name]))[name]
    except StoreAway:
        return None  # no number is better than a wrong one
