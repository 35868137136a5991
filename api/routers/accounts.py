"""Accounts and profiles."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from api.access_tokens import Person
from api.bodies import ProfileChange, Registration, UsernameChange
from api.consistency import Fresh, Freshness, reach_own_profile
from api.identity import Reader, Visitor, Writer, address_of
from api.log import Said, now_ms
from api.models import Account, Profile
from api.presenting import Presenter, opened
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import UserPath, meet, user_id_of
from api.stores import Opened, Stores
from api.usernames import Named, current_username, find_named, take_username
from schemas.events import AccountRegistered, ProfileChanged, UsernameChanged
from sinks.sealing import seal
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1", tags=["accounts"])

NamePath = Annotated[str, Path(description="A username, or one that a person had before.", examples=["ada"])]
_MOVED: dict[int | str, dict[str, Any]] = {
    307: {
        "description": "They go by another username now.",
        "headers": {"Location": {"description": "Their page.", "schema": {"type": "string"}}},
    }
}


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
    if claim.first or not await _came_through(stores, body.username, claim.id):
        await take_username(stores, body.username, claim.id)
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


async def _came_through(stores: Stores, username: str, user_id: int) -> bool:
    """Whether an earlier try registered this person: what they changed since then is not to be undone."""
    name = await stores.usernames.find(username)
    return name is not None and name.user_id == user_id and name.confirmed


@router.get("/users/by-name/{username}", response_model=Profile, responses=_MOVED | problems(400, 401, 404, 503))
async def get_profile_by_name(username: NamePath, stores: Opened, fresh: Fresh, visitor: Visitor) -> Profile | Response:
    """The page of whoever goes by this username. A name that they had before leads to the one they have."""
    named = await find_named(stores, username)
    if named is None:
        raise not_found("person")
    profile = await _page(stores, fresh, named.user_id, visitor)
    return _moved(profile) if _has_moved(named, profile) else profile


@router.get("/users/{user}", response_model=Profile, responses=_MOVED | problems(400, 401, 404, 503))
async def get_profile(user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor) -> Profile | Response:
    """A person's page. A username that they had before leads to the one they have."""
    named = None if user.isdecimal() else await find_named(stores, user)
    profile = await _page(stores, fresh, named.user_id if named else await user_id_of(stores, user), visitor)
    return _moved(profile) if named and _has_moved(named, profile) else profile


async def _page(stores: Stores, fresh: Freshness, user_id: int, visitor: Person | None) -> Profile:
    near, _ = await asyncio.gather(fresh.reach_near(user_id), fresh.reach(user_id, "accounts", "follows"))
    await meet(stores, visitor.user_id if visitor else None, user_id)
    return await _profile(stores, user_id, near)


def _has_moved(named: Named, profile: Profile) -> bool:
    # The view may not have reached the change yet: then the old name is still the one to show.
    return not named.current and profile.username not in ("", named.username)


def _moved(profile: Profile) -> Response:
    # Not for ever: the old name is somebody else's one day.
    return RedirectResponse(f"/api/v1/users/by-name/{profile.username}", 307)


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


@router.put("/me/username", responses=problems(400, 401, 404, 409, 413, 415, 422, 429, 503))
async def change_username(body: UsernameChange, me: Writer, stores: Opened, log: Said) -> Profile:
    """Take another username. The old one leads to you, and is yours to take back, for some months."""
    await reach_own_profile(stores, me.user_id)
    previous = await current_username(stores, me.user_id)
    key = (await stores.keys.get_many([me.user_id])).get(me.user_id)
    if previous is None or key is None:
        raise not_found("account")
    if previous == body.username:
        await stores.usernames.confirm(previous, me.user_id)  # should an earlier try have been cut off before it
        return await _profile(stores, me.user_id)
    allowance = Allowance(stores.settings.username_burst, stores.settings.username_per_second)
    wait = await stores.throttles.take(f"usernames:{me.user_id}", allowance)
    if wait:
        detail = "You changed your username too often. Keep the one you have for some time."
        raise Problem(429, "too-many-usernames", detail, retry_after=wait)
    await take_username(stores, body.username, me.user_id)
    token = await log.say(
        UsernameChanged(
            **log.by(me.user_id),
            user_id=me.user_id,
            username=seal(key, me.user_id, body.username),
            previous=seal(key, me.user_id, previous),
        )
    )
    await stores.credentials.set_profile_token(me.user_id, token)
    await stores.usernames.confirm(body.username, me.user_id)
    await stores.usernames.replace(previous, me.user_id, now_ms())
    return (await _profile(stores, me.user_id)).model_copy(update={"username": body.username})


async def _profile(stores: Stores, user_id: int, near: bool = True) -> Profile:
    profile = await Presenter(stores).profile(user_id, near)
    if profile is None:
        raise not_found("person")
    return profile
