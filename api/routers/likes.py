"""Likes: of a post, by a person."""

from __future__ import annotations

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Visitor, Writer
from api.log import Said
from api.models import Like, People
from api.problems import problems
from api.routes import IdPath, about, id_of, list_people, open_post
from api.stores import Opened
from schemas.events import PostLiked, PostUnliked

router = APIRouter(prefix="/api/v1/posts/{post_id}", tags=["likes"])
_ANSWERS = problems(400, 401, 404, 429, 503)


@router.post("/like", responses=_ANSWERS)
@router.post("/likes", responses=_ANSWERS, include_in_schema=False)
async def like(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Like:
    """Like a post; liking twice is as good as once. `/likes` does the same."""
    await fresh.reach(me.user_id, "posts", "follows")
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    # Said even if the view holds it already: the view may be older than an unlike that is under way.
    await log.say(PostLiked(**log.by(me.user_id), **about(row)))
    return Like(post_id=str(row.post_id), liked=True)


@router.delete("/like", responses=_ANSWERS)
@router.delete("/likes", responses=_ANSWERS, include_in_schema=False)
async def unlike(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Like:
    """Cease to like a post, whether or not one did. `/likes` does the same."""
    await fresh.reach(me.user_id, "posts", "follows")
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    await log.say(PostUnliked(**log.by(me.user_id), **about(row)))
    return Like(post_id=str(row.post_id), liked=False)


@router.get("/likes", responses=problems(400, 401, 404, 422, 503))
async def list_likes(
    post_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50
) -> People:
    """Who likes this post, by id."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, "posts", "likes", "accounts", "follows")
    row = await open_post(stores, id_of(post_id, "post"), viewer_id)
    ids = await stores.likes.likers(row.post_id, cursor or 0, limit + 1)
    return await list_people(stores, viewer_id, ids, limit)
