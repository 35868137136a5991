"""What trends now: posts, hashtags and places; and why."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Visitor
from api.models_trending import TrendExplanation, TrendingName, TrendingNames, TrendingPost, TrendingPosts
from api.presenting import Presenter, moment
from api.problems import problems
from api.routes import IdPath, id_of, open_post
from api.stores import Opened, Stores
from api.trending import Place, Trends
from streams.text import fold
from streams.trending import HASHTAGS, PLACES, POSTS, STEP_MS, name_of
from streams.trending_scores import WINDOWS

router = APIRouter(prefix="/api/v1/trending", tags=["trending"])
_VIEWS = ("trending", "posts", "accounts", "follows")
_LIST = problems(400, 401, 422, 503)
_EXPLAINED = problems(400, 401, 404, 422, 503)
WindowName = Annotated[
    Literal["1h", "24h"], Query(description="The half-life: what is new this hour, or today.", examples=["1h"])
]
Hashtag = Annotated[str, Path(description="A hashtag, without its sign.", max_length=200, examples=["dusk"])]
PlaceName = Annotated[str, Path(description="A place, as posts name it.", max_length=200, examples=["London"])]


@router.get("/posts", responses=_LIST)
async def list_trending_posts(
    visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, window: WindowName = "1h", limit: Limit = 20
) -> TrendingPosts:
    """The posts that people turn to now more than is usual for them; those that you may see."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    counted = await fresh.reach_counts(viewer_id or 0)
    presenter = Presenter(stores)

    async def look(names: list[str]) -> dict[str, object]:
        posts = await presenter.public_posts(viewer_id, [int(name[2:]) for name in names], counted)
        return {name_of(POSTS, post_id): post for post_id, post in posts.items()}

    trends = Trends(stores, viewer_id, fresh)
    found, at_step, after = await trends.page(POSTS, WINDOWS[window], cursor, limit, look)
    items = [TrendingPost.model_validate({**_standing(place), "post": post}) for place, post in found]
    return TrendingPosts.model_validate({"items": items, "at": moment(at_step * STEP_MS), "next_cursor": after})


@router.get("/hashtags", responses=_LIST)
async def list_trending_hashtags(
    visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, window: WindowName = "1h", limit: Limit = 20
) -> TrendingNames:
    """The hashtags of the posts that people turn to now more than is usual for them."""
    return await _names(stores, visitor.user_id if visitor else None, fresh, HASHTAGS, window, cursor, limit)


@router.get("/places", responses=_LIST)
async def list_trending_places(
    visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, window: WindowName = "1h", limit: Limit = 20
) -> TrendingNames:
    """The places of the posts that people turn to now more than is usual for them."""
    return await _names(stores, visitor.user_id if visitor else None, fresh, PLACES, window, cursor, limit)


@router.get("/posts/{post_id}/explain", responses=_EXPLAINED)
async def explain_trending_post(
    post_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh, window: WindowName = "1h"
) -> TrendExplanation:
    """Why a post that you may see ranks where it does."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    post = await open_post(stores, id_of(post_id, "post"), viewer_id)
    return await Trends(stores, viewer_id, fresh).explain(POSTS, str(post.post_id), WINDOWS[window])


@router.get("/hashtags/{hashtag}/explain", responses=_EXPLAINED)
async def explain_trending_hashtag(
    hashtag: Hashtag, visitor: Visitor, stores: Opened, fresh: Fresh, window: WindowName = "1h"
) -> TrendExplanation:
    """Why a hashtag ranks where it does."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    return await Trends(stores, viewer_id, fresh).explain(HASHTAGS, fold(hashtag), WINDOWS[window])


@router.get("/places/{place:path}/explain", responses=_EXPLAINED)
async def explain_trending_place(
    place: PlaceName, visitor: Visitor, stores: Opened, fresh: Fresh, window: WindowName = "1h"
) -> TrendExplanation:
    """Why a place ranks where it does."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    return await Trends(stores, viewer_id, fresh).explain(PLACES, place, WINDOWS[window])


async def _names(
    stores: Stores,
    viewer_id: int | None,
    fresh: Fresh,
    kind: str,
    window: str,
    cursor: int | None,
    limit: int,
) -> TrendingNames:
    await fresh.reach(viewer_id or 0, *_VIEWS)
    trends = Trends(stores, viewer_id, fresh)
    found, at_step, after = await trends.page(kind, WINDOWS[window], cursor, limit, trends.seen)
    items = [TrendingName.model_validate({**_standing(place), "name": name}) for place, name in found]
    return TrendingNames.model_validate({"items": items, "at": moment(at_step * STEP_MS), "next_cursor": after})


def _standing(place: Place) -> dict[str, float]:
    one = place.ranked
    return {
        "rank": place.rank,
        "score": one.standing.corrected,
        "expected": one.standing.expected,
        "people": one.people,
    }
