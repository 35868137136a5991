"""Whom one does not want to see, or to be seen by."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit
from api.identity import Reader, Writer
from api.log import Said
from api.models import Block, Mute, People
from api.presenting import Presenter
from api.problems import problems
from api.routes import UserPath, check_person, list_people, not_oneself, user_id_of
from api.stores import Opened, Stores
from schemas.events import Blocked, Muted, Unblocked, Unmuted

router = APIRouter(prefix="/api/v1", tags=["graph"])
_ANSWERS = problems(400, 401, 404, 422, 429, 503)
_LISTS = problems(400, 401, 422, 503)


@router.put("/users/{user}/block", responses=_ANSWERS)
async def block(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Block:
    """Block a person: neither finds the other from now on. Follows, requests and likes between you are undone, and do
    not come back when you unblock them."""
    user_id = await _somebody(stores, fresh, me.user_id, user, "block")
    await log.say_together([Blocked(**copy) for copy in _copies(log, me.user_id, user_id)])
    return Block(user_id=str(user_id), blocked=True)


@router.delete("/users/{user}/block", responses=_ANSWERS)
async def unblock(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Block:
    """Cease to block a person, whether or not you did."""
    user_id = await _somebody(stores, fresh, me.user_id, user, "block")
    await log.say_together([Unblocked(**copy) for copy in _copies(log, me.user_id, user_id)])
    return Block(user_id=str(user_id), blocked=False)


@router.put("/users/{user}/mute", responses=_ANSWERS)
async def mute(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Mute:
    """Keep a person out of your feed and notifications. They are not told."""
    user_id = await _somebody(stores, fresh, me.user_id, user, "mute")
    await log.say(Muted(**log.by(me.user_id), muter_id=me.user_id, muted_id=user_id))
    return Mute(user_id=str(user_id), muted=True)


@router.delete("/users/{user}/mute", responses=_ANSWERS)
async def unmute(user: UserPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Mute:
    """Cease to mute a person, whether or not you did."""
    user_id = await _somebody(stores, fresh, me.user_id, user, "mute")
    await log.say(Unmuted(**log.by(me.user_id), muter_id=me.user_id, muted_id=user_id))
    return Mute(user_id=str(user_id), muted=False)


@router.get("/me/blocks", responses=_LISTS)
async def list_blocks(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50) -> People:
    """Whom you block, by id."""
    await fresh.reach(me.user_id, "accounts", "follows")
    ids = await stores.follows.blocks(me.user_id, cursor or 0, limit + 1)
    page = await list_people(stores, me.user_id, ids, limit)
    # The one list of people whom nobody else shows you.
    people = await Presenter(stores).blocked(me.user_id, ids[:limit])
    return page.model_copy(update={"items": list(people.values())})


@router.get("/me/mutes", responses=_LISTS)
async def list_mutes(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50) -> People:
    """Whom you mute, by id."""
    await fresh.reach(me.user_id, "accounts", "follows")
    ids = await stores.follows.mutes(me.user_id, cursor or 0, limit + 1)
    return await list_people(stores, me.user_id, ids, limit)


async def _somebody(stores: Stores, fresh: Fresh, me: int, user: str, do: str) -> int:
    """A person whom ``me`` may know of, or blocks; else ``Problem`` 404."""
    user_id = await user_id_of(stores, user)
    not_oneself(me, user_id, do)
    await fresh.reach(me, "follows")
    facts = await stores.relations.facts(me, [user_id])
    await check_person(stores, user_id, None if facts.relation(user_id).blocks else facts)
    return user_id


def _copies(log: Said, me: int, user_id: int) -> list[dict[str, Any]]:
    """One copy under the key of either: each of them has the block in its own order of events."""
    said = log.by(me) | {"blocker_id": me, "blocked_id": user_id}
    return [said | {"user_id": me}, said | {"user_id": user_id}]
