"""Accounts and profiles."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from api.bodies import ProfileChange, Registration
from api.consistency import Fresh, reach_own_profile
from api.identity import Reader, Visitor, Writer, address_of
from api.log import Said, now_ms
from api.models import Account, Profile
from api.presenting import Presenter, opened
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import UserPath, meet, user_id_of
from api.stores import Opened, Stores
from schemas.events import AccountRegistered, ProfileChanged
from sinks.credentials import RESERVATION_MS
from sinks.sealing import seal
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1", tags=["accounts"])


@router.post("/accounts", status_code=201, responses=problems(400, 409, 413, 415, 422, 429, 503))
async def register(
    body: Registration, request: Request, response: Response, stores: Opened, retry: Retried, log: Said
) -> Account:
    """Open an account. Log in with POST /api/v1/sessions afterwards."""
    settings = stores.settings
    allowance = Allowance(settings.registration_burst, settings.registration_per_second)
    wait = await stores.throttles.take(f"registrations:{address_of(request)}", allowance)
    if wait:
        detail = "Too many accounts were registered from your address. Wait a moment."
        raise Problem(429, "too-many-registrations", detail, retry_after=wait)
    # Nobody is logged in, so the key belongs to the name: two people may use the same key.
    claim = await retry.claim(f"name:{body.username}", "register", body.username, body.name, body.password)
    await _reserve(stores, body.username, claim.id)
    key = await stores.keys.create(claim.id)
    await stores.credentials.set_password(claim.id, await stores.passwords.hash(body.password))
    token = await log.say(
        AccountRegistered(
            **log.by(claim.id, event_id=claim.id, at=claim.at),
            user_id=claim.id,
            username=seal(key, claim.id, body.username),
            name=seal(key, claim.id, body.name),
        )
    )
    await stores.credentials.set_profile_token(claim.id, token)
    await stores.usernames.confirm(body.username, claim.id)
    response.headers["Location"] = f"/api/v1/users/{claim.id}"
    return Account(
        id=str(claim.id),
        username=body.username,
        name=body.name,
        registered_at=datetime.fromtimestamp(claim.at / 1000, UTC),
    )


async def _reserve(stores: Stores, username: str, user_id: int) -> None:
    """Make the name this person's, or raise ``Problem`` 409."""
    now = now_ms()
    held = await stores.usernames.reserve(username, user_id, now)
    if held.user_id == user_id:
        return
    if not held.confirmed and now - held.reserved_at > RESERVATION_MS:
        # Whoever reserved it went away in between: after the account came into the log, or before.
        if held.user_id in await stores.accounts.by_ids([held.user_id]):
            await stores.usernames.confirm(username, held.user_id)
        elif await stores.usernames.take_over(username, held, user_id, now):
            return
    raise Problem(409, "username-taken", f"The username {username} is taken. Choose another one.")


@router.get("/users/{user}", responses=problems(400, 401, 404, 503))
async def get_profile(user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor) -> Profile:
    """A person's page."""
    user_id = await user_id_of(stores, user)
    near, _ = await asyncio.gather(fresh.reach_near(user_id), fresh.reach(user_id, "accounts", "follows"))
    await meet(stores, visitor.user_id if visitor else None, user_id)
    return await _profile(stores, user_id, near)


@router.get("/me", responses=problems(400, 401, 404, 503))
async def get_own_profile(me: Reader, stores: Opened, fresh: Fresh) -> Profile:
    """One's own page, with one's own changes in it."""
    await reach_own_profile(stores, me.user_id)
    near, _ = await asyncio.gather(fresh.reach_near(me.user_id), fresh.reach(me.user_id, "accounts"))
    return await _profile(stores, me.user_id, near)


@router.patch("/me", responses=problems(400, 401, 404, 413, 415, 422, 429, 503))
async def change_profile(body: ProfileChange, me: Writer, stores: Opened, log: Said) -> Profile:
    """Change one's name or bio."""
    # The event carries the whole profile, so the fields left out have to be those of one's last change.
    await reach_own_profile(stores, me.user_id)
    account = (await stores.accounts.by_ids([me.user_id])).get(me.user_id)
    key = (await stores.keys.get_many([me.user_id])).get(me.user_id)
    if account is None or key is None:
        raise not_found("account")
    name = opened({me.user_id: key}, me.user_id, account.name) if body.name is None else body.name
    bio = opened({me.user_id: key}, me.user_id, account.bio) if body.bio is None else body.bio
    token = await log.say(
        ProfileChanged(
            **log.by(me.user_id),
            user_id=me.user_id,
            name=seal(key, me.user_id, name),
            bio=seal(key, me.user_id, bio),
        )
    )
    await stores.credentials.set_profile_token(me.user_id, token)
    profile = await _profile(stores, me.user_id)
    return profile.model_copy(update={"name": name, "bio": bio})


async def _profile(stores: Stores, user_id: int, near: bool = True) -> Profile:
    profile = await Presenter(stores).profile(user_id, near)
    if profile is None:
        raise not_found("person")
    return profile
