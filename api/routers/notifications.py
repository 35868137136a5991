"""Notifications."""

from __future__ import annotations

from fastapi import APIRouter

from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Reader
from api.models import Notification, Notifications
from api.presenting import moment
from api.problems import problems
from api.stores import Opened
from schemas.ids import MAX_ID

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])


@router.get("", responses=problems(400, 401, 422, 503))
async def list_notifications(
    me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30
) -> Notifications:
    """What one should know, newest first."""
    await fresh.reach(me.user_id, "notifications")
    rows = await stores.notifications.page(me.user_id, cursor or MAX_ID, limit + 1)
    items = [
        Notification(
            id=str(row.notification_id),
            kind=row.kind,
            at=moment(row.at),
            media_id=str(row.media_id) if row.media_id else None,
            post_id=str(row.post_id) if row.post_id else None,
            code=row.code or None,
            reason=row.reason or None,
        )
        for row in rows[:limit]
    ]
    return Notifications(
        items=items, next_cursor=to_cursor(rows[limit - 1].notification_id) if len(rows) > limit else None
    )
