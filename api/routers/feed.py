"""The home feed: skeleton → hydrate → rules → present."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.home_feed import page
from api.identity import Reader
from api.models import Post, Posts
from api.presenting import Presenter
from api.problems import problems
from api.stores import Opened
from schemas.ids import MAX_ID

router = APIRouter(prefix="/api/v1/feed", tags=["feed"])


@router.get("", responses=problems(400, 401, 422, 503))
async def get_feed(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 20) -> Posts:
    """The posts of those whom one follows, newest first, without end."""
    await fresh.reach(me.user_id, "home_feed", "posts", "user_posts", "accounts")
    presenter = Presenter(stores)
    skeleton = await stores.home_feed.skeleton(me.user_id)
    followed: list[int] | None = None

    async def older(before: int, count: int) -> list[int]:
        nonlocal followed
        if followed is None:
            followed = await stores.home_feed.following_of(me.user_id)
        return await stores.posts.older(followed, before, count)

    async def look(ids: Sequence[int]) -> dict[int, Post]:
        return await presenter.feed_posts(me.user_id, ids)

    found = await page(skeleton.ids, skeleton.floor, cursor or MAX_ID, limit, older=older, look=look)
    return Posts(items=found.shown, next_cursor=None if found.after is None else to_cursor(found.after))
