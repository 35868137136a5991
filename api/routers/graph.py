"""Who follows whom."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Visitor, Writer
from api.log import Said
from api.models import Follow, People
from api.presenting import Presenter
from api.problems import Problem, problems
from api.routes import UserPath, check_person, open_person, user_id_of
from api.stores import Opened, Stores
from schemas.events import Followed, Unfollowed

router = APIRouter(prefix="/api/v1/users/{user}", tags=["graph"])


@router.put("/follow", responses=problems(401, 404, 422, 429, 503))
async def follow(user: UserPath, me: Writer, stores: Opened, log: Said) -> Follow:
    """Follow a person; following twice is as good as once."""
    user_id = await user_id_of(stores, user)
    if user_id == me.user_id:
        raise Problem(422, "self-follow", "Nobody can follow themselves. Choose somebody else.")
    await check_person(stores, user_id)
    # Said even if the view holds it already: the view may be older than an unfollow that is under way.
    await log.say(Followed(**log.by(me.user_id), follower_id=me.user_id, followee_id=user_id))
    return Follow(user_id=str(user_id), following=True)


@router.delete("/follow", responses=problems(401, 404, 422, 429, 503))
async def unfollow(user: UserPath, me: Writer, stores: Opened, log: Said) -> Follow:
    """Cease to follow a person, whether or not one did."""
    user_id = await user_id_of(stores, user)
    if user_id == me.user_id:
        raise Problem(422, "self-follow", "Nobody can follow or unfollow themselves. Choose somebody else.")
    await check_person(stores, user_id)
    await log.say(Unfollowed(**log.by(me.user_id), follower_id=me.user_id, followee_id=user_id))
    return Follow(user_id=str(user_id), following=False)


@router.get("/followers", responses=problems(400, 401, 404, 422, 503))
async def list_followers(
    user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor, cursor: Cursor, limit: Limit = 50
) -> People:
    """Who follows this person, by id."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, "accounts", "follows")
    await open_person(stores, viewer_id, user_id)
    ids = await stores.follows.followers(user_id, cursor or 0, limit + 1)
    return await _people(stores, viewer_id, user_id, ids, limit)


@router.get("/following", responses=problems(400, 401, 404, 422, 503))
async def list_following(
    user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor, cursor: Cursor, limit: Limit = 50
) -> People:
    """Whom this person follows, by id."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, "accounts", "follows")
    await open_person(stores, viewer_id, user_id)
    ids = await stores.follows.following(user_id, cursor or 0, limit + 1)
    return await _people(stores, viewer_id, user_id, ids, limit)


async def _people(stores: Stores, viewer_id: int | None, user_id: int, ids: Sequence[int], limit: int) -> People:
    if not ids:
        await check_person(stores, user_id)
    people = await Presenter(stores).people(viewer_id, ids[:limit])
    after = to_cursor(ids[limit - 1]) if len(ids) > limit else None
    return People(items=list(people.values()), next_cursor=after)
