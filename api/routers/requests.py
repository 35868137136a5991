"""Who may follow a private person: requests, approval, and followers who are shown out."""

from __future__ import annotations

from fastapi import APIRouter

from api.bodies import PrivacyChange
from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Reader, Writer
from api.log import Said
from api.models import Follower, People, Privacy
from api.problems import not_found, problems
from api.routes import UserPath, check_person, list_people, not_oneself, user_id_of
from api.stores import Opened, Stores
from schemas.events import Followed, FollowerRemoved, FollowRejected, PrivacyChanged

router = APIRouter(prefix="/api/v1/me", tags=["graph"])
_ANSWERS = problems(400, 401, 404, 422, 429, 503)
_LISTS = problems(400, 401, 422, 503)


@router.put("/privacy", responses=problems(400, 401, 413, 415, 422, 429, 503))
async def change_privacy(body: PrivacyChange, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Privacy:
    """Become private or public. Who follows goes on following; going public approves every request that waits."""
    await fresh.reach(me.user_id, "follows")
    await log.say(PrivacyChanged(**log.by(me.user_id), user_id=me.user_id, private=body.private))
    return Privacy(private=body.private)


@router.get("/requests", responses=_LISTS)
async def list_requests(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50) -> People:
    """Who asks to follow you, by id. A page can be shorter than its limit, and still go on."""
    await fresh.reach(me.user_id, "accounts", "follows")
    ids = await stores.follows.requests(me.user_id, cursor or 0, limit + 1)
    page = await list_people(stores, me.user_id, ids, limit)
    # Who follows already asked once more, before they saw that they do.
    following = {str(user_id) for user_id in await stores.follows.followers_among(me.user_id, ids[:limit])}
    return page.model_copy(update={"items": [one for one in page.items if one.id not in following]})


@router.get("/requested", responses=_LISTS)
async def list_requested(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50) -> People:
    """Whom you asked to follow, by id. `DELETE /users/{user}/follow` withdraws a request."""
    await fresh.reach(me.user_id, "accounts", "follows")
    ids = await stores.follows.requested(me.user_id, cursor or 0, limit + 1)
    page = await list_people(stores, me.user_id, ids, limit)
    facts = await stores.relations.facts(me.user_id, ids[:limit])
    waiting = [one for one in page.items if facts.relation(int(one.id)).requested]
    return page.model_copy(update={"items": waiting})


@router.put("/requests/{user}", responses=_ANSWERS)
async def approve_request(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Follower:
    """Let somebody who asked follow you."""
    user_id = await _asking(stores, fresh, me.user_id, user)
    await log.say(Followed(**log.by(me.user_id), follower_id=user_id, followee_id=me.user_id))
    return Follower(user_id=str(user_id), follows_you=True)


@router.delete("/requests/{user}", responses=_ANSWERS)
async def reject_request(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Follower:
    """Do not let somebody who asked follow you. They are not told, and can ask again."""
    user_id = await _asking(stores, fresh, me.user_id, user)
    await log.say(FollowRejected(**log.by(me.user_id), follower_id=user_id, followee_id=me.user_id))
    return Follower(user_id=str(user_id), follows_you=False)


@router.delete("/followers/{user}", responses=_ANSWERS)
async def remove_follower(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Follower:
    """Let somebody follow you no longer, whether or not they do. They are not told."""
    user_id = await user_id_of(stores, user)
    not_oneself(me.user_id, user_id, "follow")
    await fresh.reach(me.user_id, "follows")
    await check_person(stores, user_id, await stores.relations.facts(me.user_id, [user_id]))
    await log.say(FollowerRemoved(**log.by(me.user_id), follower_id=user_id, followee_id=me.user_id))
    return Follower(user_id=str(user_id), follows_you=False)


async def _asking(stores: Stores, fresh: Fresh, me: int, user: str) -> int:
    """The person who asks to follow; ``Problem`` 404 where they do not."""
    user_id = await user_id_of(stores, user)
    not_oneself(me, user_id, "follow")
    await fresh.reach(me, "follows")
    await check_person(stores, user_id, await stores.relations.facts(me, [user_id]))
    asked = await stores.follows.has_request(me, user_id)
    # Who asked before the followee let everybody in, or asked once more, may follow by now.
    if not asked or (await stores.relations.facts(user_id, [me])).relation(me).follows:
        raise not_found("request")
    return user_id
