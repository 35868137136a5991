"""Notifications: what others did that concerns one, grouped; what was seen; and what one wants to be told."""

from __future__ import annotations

from fastapi import APIRouter

from api.activity import Activity
from api.bodies_notifications import PreferencesChange, SeenUpTo
from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Reader, Writer
from api.log import Said
from api.models_notifications import (
    NotificationPreference,
    NotificationPreferences,
    Notifications,
    Seen,
    UnseenCount,
)
from api.problems import Problem, problems
from api.stores import Opened
from schemas.events import NotificationPreferencesChanged, NotificationsSeen
from sinks.notifications import Preferences
from streams.notifications import KINDS

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])
_POSITION_BITS = 46
"""A cursor is the day (17 bits, some 350 years) and the position (1,000 notices a second for 2,000 years)."""
_POSITIONS = (1 << _POSITION_BITS) - 1


@router.get("", responses=problems(400, 401, 422, 503))
async def list_notifications(
    me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30
) -> Notifications:
    """What others did that concerns you, newest first: one notification for each kind of doing and what it is about."""
    await fresh.reach(me.user_id, "notifications", "posts", "stories", "accounts")
    activity = Activity(stores, me.user_id)
    place = (2**31, 0) if cursor is None else (cursor >> _POSITION_BITS, cursor & _POSITIONS)
    # Read first: what comes in meanwhile is above it, and stays unseen.
    position = await stores.notifications.last_position(me.user_id)
    seen = await activity.seen()
    shown, more = await activity.page(place, limit)
    day, last = shown[-1].group.place if shown else (0, 0)
    return Notifications(
        items=await activity.models(shown, seen),
        next_cursor=to_cursor(day << _POSITION_BITS | last) if more else None,
        unseen_count=await activity.unseen(seen),
        position=str(position) if position >= 0 else None,
    )


@router.get("/unseen", responses=problems(400, 401, 422, 503))
async def count_unseen_notifications(me: Reader, stores: Opened, fresh: Fresh) -> UnseenCount:
    """How many of your notifications have something new in them."""
    await fresh.reach(me.user_id, "notifications", "posts", "stories")
    activity = Activity(stores, me.user_id)
    return UnseenCount(unseen_count=await activity.unseen(await activity.seen()))


@router.put("/seen", responses=problems(400, 401, 413, 415, 422, 429, 503))
async def see_notifications(body: SeenUpTo, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Seen:
    """Say up to where you have seen your notifications."""
    position = int(body.position)
    await fresh.reach(me.user_id, "notifications")
    if position > await stores.notifications.last_position(me.user_id):
        detail = "`position` is beyond your last notification. Send the `position` of a page of notifications."
        raise Problem(422, "unknown-position", detail)
    await log.say(NotificationsSeen(**log.by(me.user_id), viewer_id=me.user_id, position=position))
    return Seen(position=body.position)


@router.get("/preferences", responses=problems(400, 401, 422, 503))
async def read_notification_preferences(me: Reader, stores: Opened, fresh: Fresh) -> NotificationPreferences:
    """What you want to be told of."""
    await fresh.reach(me.user_id, "notifications")
    return _preferences(await stores.notifications.preferences(me.user_id))


@router.patch("/preferences", responses=problems(400, 401, 413, 415, 422, 429, 503))
async def change_notification_preferences(
    body: PreferencesChange, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> NotificationPreferences:
    """Change what you want to be told of; kinds that are left out stay as they are.

    What was not told while a kind was silenced is there again once it is not.
    """
    await fresh.reach(me.user_id, "notifications")
    silenced, unpushed = map(set, await stores.notifications.preferences(me.user_id))
    for kind, change in body.kinds.items():
        for wanted, without in ((change.told, silenced), (change.pushed, unpushed)):
            if wanted is not None:
                (without.discard if wanted else without.add)(kind)
    await log.say(
        NotificationPreferencesChanged(
            **log.by(me.user_id), recipient_id=me.user_id, silenced=sorted(silenced), unpushed=sorted(unpushed)
        )
    )
    return _preferences(Preferences(frozenset(silenced), frozenset(unpushed)))


def _preferences(of: Preferences) -> NotificationPreferences:
    return NotificationPreferences(
        kinds={
            kind: NotificationPreference(told=kind not in of.silenced, pushed=kind not in of.unpushed | of.silenced)
            for kind in KINDS
        }
    )
