"""Who follows whom."""

from __future__ import annotations

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Reader, Visitor, Writer
from api.log import Said
from api.models import Follow, People
from api.problems import problems
from api.routes import UserPath, check_person, list_people, not_oneself, open_person, user_id_of
from api.stores import Opened
from schemas.events import Followed, FollowRequested, Unfollowed

router = APIRouter(prefix="/api/v1/users/{user}", tags=["graph"])
_ANSWERS = problems(400, 401, 404, 422, 429, 503)
_LISTS = problems(400, 401, 403, 404, 422, 503)
_MUTUAL_ROUNDS = 8
_MUTUAL_LOOK = 500
"""Of those whom one follows, how many are looked at in one round for whom they follow."""


@router.put("/follow", responses=_ANSWERS)
async def follow(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Follow:
    """Follow a person, or ask to, if they are private. Following twice is as good as once."""
    user_id = await user_id_of(stores, user)
    not_oneself(me.user_id, user_id, "follow")
    await fresh.reach(me.user_id, "follows")
    facts = await stores.relations.facts(me.user_id, [user_id])
    await check_person(stores, user_id, facts)
    said = log.by(me.user_id) | {"follower_id": me.user_id, "followee_id": user_id}
    # Said even if the view holds it already: the view may be older than an unfollow that is under way.
    if facts.standing(user_id).private:
        following = facts.relation(user_id).follows
        await log.say(FollowRequested(**said, follows=following))
    else:
        await log.say(Followed(**said))
        following = True
    return Follow(user_id=str(user_id), following=following, requested=not following)


@router.delete("/follow", responses=_ANSWERS)
async def unfollow(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Follow:
    """Cease to follow a person, or withdraw the request to, whether or not there was any."""
    user_id = await user_id_of(stores, user)
    not_oneself(me.user_id, user_id, "unfollow")
    await fresh.reach(me.user_id, "follows")
    await check_person(stores, user_id, await stores.relations.facts(me.user_id, [user_id]))
    await log.say(Unfollowed(**log.by(me.user_id), follower_id=me.user_id, followee_id=user_id))
    return Follow(user_id=str(user_id), following=False)


@router.get("/followers", responses=_LISTS)
async def list_followers(
    user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor, cursor: Cursor, limit: Limit = 50
) -> People:
    """Who follows this person, by id. Of a private person, only for approved followers."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, "accounts", "follows")
    await open_person(stores, viewer_id, user_id)
    ids = await stores.follows.followers(user_id, cursor or 0, limit + 1)
    return await list_people(stores, viewer_id, ids, limit)


@router.get("/following", responses=_LISTS)
async def list_following(
    user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor, cursor: Cursor, limit: Limit = 50
) -> People:
    """Whom this person follows, by id. Of a private person, only for approved followers."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, "accounts", "follows")
    await open_person(stores, viewer_id, user_id)
    ids = await stores.follows.following(user_id, cursor or 0, limit + 1)
    return await list_people(stores, viewer_id, ids, limit)


@router.get("/mutuals", responses=_LISTS)
async def list_mutuals(
    user: UserPath, stores: Opened, fresh: Fresh, me: Reader, cursor: Cursor, limit: Limit = 50
) -> People:
    """Who follows this person, of those whom you follow, by id."""
    user_id = await user_id_of(stores, user)
    await fresh.reach(me.user_id, "accounts", "follows")
    await open_person(stores, me.user_id, user_id)
    found: list[int] = []
    after = cursor or 0
    for _ in range(_MUTUAL_ROUNDS):
        looked = await stores.follows.following(me.user_id, after, _MUTUAL_LOOK)
        found += await stores.follows.followers_among(user_id, looked)
        if len(looked) < _MUTUAL_LOOK:
            return await list_people(stores, me.user_id, found, limit)
        after = looked[-1]
        if len(found) > limit:
            break
    # There may be more, whether or not some were found.
    return await list_people(stores, me.user_id, found, limit, goes_on_after=after)
