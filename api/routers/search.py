"""Search: people, hashtags, places and posts, as one types. That somebody searched is said to the log, sealed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Visitor
from api.log import now_ms
from api.models_search import FoundHashtags, FoundPeople, FoundPlaces, FoundPosts
from api.problems import Problem, problems
from api.searches import Search
from api.searching import Searching
from api.stores import Opened

router = APIRouter(prefix="/api/v1/search", tags=["search"])
_VIEWS = ("search", "accounts", "follows")
_ANSWERS = problems(400, 401, 422, 503)
_LONGEST = 100
Asked = Annotated[
    str, Query(alias="q", min_length=1, max_length=_LONGEST, description="What you look for.", examples=["ada"])
]
AskedOrNot = Annotated[
    str, Query(alias="q", max_length=_LONGEST, description="What the place is called.", examples=["lond"])
]
Near = Annotated[
    str | None,
    Query(
        pattern=r"^-?[0-9]{1,3}(\.[0-9]{1,10})?,-?[0-9]{1,3}(\.[0-9]{1,10})?$",
        description="Latitude and longitude in degrees: the places on the map around it, the nearest first.",
        examples=["51.5,-0.12"],
    ),
]
Radius = Annotated[float, Query(gt=0, le=500, description="How far away they may be, with `near`.")]


class Noted:
    """What one request has to say of a search."""

    def __init__(self, request: Request, visitor: Visitor, stores: Opened) -> None:
        self._trace_id: str = request.scope["state"]["trace_id"]
        self._visitor, self._stores = visitor, stores

    def of(self, kind: str, query: str, cursor: int | None, results: int) -> None:
        """Of ``kind`` for ``query``; nothing for a later page, for a stranger, or where no words were asked for."""
        words = query.strip()
        if self._visitor is None or cursor is not None or not words:
            return
        search = Search(self._visitor.user_id, kind, words, results, now_ms(), self._trace_id)
        self._stores.searches.note(self._stores, search)


Noting = Annotated[Noted, Depends(Noted)]
"""Notes a search, in a route."""


@router.get("/people", responses=_ANSWERS)
async def search_people(
    asked: Asked, visitor: Visitor, stores: Opened, fresh: Fresh, noted: Noting, cursor: Cursor, limit: Limit = 20
) -> FoundPeople:
    """People whose username or name begins so, every word of it; after them those that are a typo away (of four letters
    on one, of eight on two). First whom you follow, then by followers, a badge, and how many you know follow them."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    items, after = await Searching(stores, viewer_id).people(asked, cursor, limit)
    noted.of("people", asked, cursor, len(items))
    return FoundPeople(items=items, next_cursor=after)


@router.get("/hashtags", responses=_ANSWERS)
async def search_hashtags(
    asked: Asked, visitor: Visitor, stores: Opened, fresh: Fresh, noted: Noting, cursor: Cursor, limit: Limit = 20
) -> FoundHashtags:
    """Hashtags that begin so, the most used first; after them those that are a typo away."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    items, after = await Searching(stores, viewer_id).hashtags(asked, cursor, limit)
    noted.of("hashtags", asked, cursor, len(items))
    return FoundHashtags(items=items, next_cursor=after)


@router.get("/places", responses=_ANSWERS)
async def search_places(
    visitor: Visitor,
    stores: Opened,
    fresh: Fresh,
    noted: Noting,
    cursor: Cursor,
    asked: AskedOrNot = "",
    near: Near = None,
    radius_km: Radius = 50,
    limit: Limit = 20,
) -> FoundPlaces:
    """Places that are called so, in any language the map knows, or those around you, or both."""
    if not asked and near is None:
        raise Problem(422, "nothing-asked", "Say what the place is called (`q`), where you are (`near`), or both.")
    viewer_id = visitor.user_id if visitor else None
    where = None if near is None else _where(near)
    await fresh.reach(viewer_id or 0, *_VIEWS)
    searching = Searching(stores, viewer_id)
    if where is None:
        items, after = await searching.places(asked, cursor, limit)
    else:
        items, after = await searching.near(asked, where, radius_km, cursor, limit)
    noted.of("places", asked, cursor, len(items))
    return FoundPlaces(items=items, next_cursor=after)


@router.get("/posts", responses=_ANSWERS)
async def search_posts(
    asked: Asked, visitor: Visitor, stores: Opened, fresh: Fresh, noted: Noting, cursor: Cursor, limit: Limit = 20
) -> FoundPosts:
    """Posts whose captions have all these words, the newest first; the last word may be the beginning of one."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS, "posts")
    counted = await fresh.reach_counts(viewer_id or 0)
    items, after = await Searching(stores, viewer_id).posts(asked, cursor, limit, counted)
    noted.of("captions", asked, cursor, len(items))
    return FoundPosts(items=items, next_cursor=after)


def _where(near: str) -> tuple[float, float]:
    latitude, longitude = map(float, near.split(","))
    if abs(latitude) > 90 or abs(longitude) > 180:
        detail = "Latitudes go from -90 to 90 degrees and longitudes from -180 to 180, as in `near=51.5,-0.12`."
        raise Problem(422, "nowhere", detail)
    return latitude, longitude
