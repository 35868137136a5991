"""Push: the devices to which one lets notices be pushed, by Web Push."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter

from api.access_tokens import Person
from api.bodies_push import NewPushSubscription
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Reader, Visitor, Writer
from api.log import now_ms
from api.models_push import PushKey, PushSubscription, PushSubscriptions
from api.problems import Problem, not_found, problems
from api.routes import IdPath, id_of, key_of
from api.stores import Opened, Stores
from sinks.push_endpoints import Endpoint, EndpointRefused
from sinks.push_subscriptions import DEVICES, Subscription, TooManyDevices
from sinks.web_push import BrowserKeys, Vapid

router = APIRouter(prefix="/api/v1", tags=["notifications"])


@router.get("/push-key", responses=problems(401, 429, 503))
async def read_push_key(visitor: Visitor, stores: Opened) -> PushKey:
    """The key with which a browser subscribes to pushes of this server."""
    return PushKey(public_key=_vapid(stores).public_key)


@router.post("/me/push-subscriptions", status_code=201, responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def subscribe_to_pushes(body: NewPushSubscription, me: Writer, stores: Opened) -> PushSubscription:
    """Let notices be pushed to this device until the session ends. Again with the same endpoint changes its keys.

    At most one push comes of a post and kind in five minutes. `PATCH /api/v1/notifications/preferences` says of what.
    """
    _vapid(stores)
    try:
        Endpoint.read(body.endpoint, private=stores.settings.push_private_addresses)
        keys = BrowserKeys.read(body.keys.p256dh, body.keys.auth)
    except EndpointRefused as refused:
        raise Problem(422, "invalid-push-endpoint", f"{refused}. Send what the browser gave.") from refused
    except ValueError as error:
        raise Problem(422, "invalid-push-keys", f"{error}. Send what the browser gave.") from error
    key = await key_of(stores, me.user_id)
    try:
        made = await stores.push.add(me.user_id, me.session_id, body.endpoint, keys, key, now_ms())
    except TooManyDevices as error:
        detail = f"You have {DEVICES} devices already. Delete one first."
        raise Problem(409, "too-many-devices", detail) from error
    return _shown(made, me)


@router.get("/me/push-subscriptions", responses=problems(400, 401, 422, 503))
async def list_push_subscriptions(me: Reader, stores: Opened, cursor: Cursor, limit: Limit = 30) -> PushSubscriptions:
    """The devices that notices are pushed to, by id."""
    found = [one for one in await stores.push.of(me.user_id) if one.subscription_id > (cursor or 0)]
    more = len(found) > limit
    return PushSubscriptions(
        items=[_shown(one, me) for one in found[:limit]],
        next_cursor=to_cursor(found[limit - 1].subscription_id) if more else None,
    )


@router.delete("/me/push-subscriptions/{subscription_id}", status_code=204, responses=problems(401, 404, 422, 429, 503))
async def unsubscribe_from_pushes(subscription_id: IdPath, me: Writer, stores: Opened) -> None:
    """Push to this device no more."""
    number = id_of(subscription_id, "device")
    if number not in {one.subscription_id for one in await stores.push.of(me.user_id)}:
        raise not_found("device")
    await stores.push.remove(me.user_id, number)


def _vapid(stores: Stores) -> Vapid:
    if stores.vapid is None:
        raise Problem(
            503, "push-unavailable", "This server has no key for pushes. Ask its operator for VAPID_PRIVATE_KEY."
        )
    return stores.vapid


def _shown(one: Subscription, me: Person) -> PushSubscription:
    return PushSubscription(
        id=str(one.subscription_id),
        host=Endpoint.read(one.endpoint, private=True).host,
        created_at=datetime.fromtimestamp(one.created_at / 1000, UTC),
        current=one.session_id == me.session_id,
    )
