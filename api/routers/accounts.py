"""Accounts and profiles."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from api.access_tokens import Person
from api.bodies import Registration
from api.consistency import Fresh, Freshness, reach_own_profile
from api.identity import Moderator, Reader, Visitor
from api.limits import address_of, count
from api.log import Log, Said
from api.logins import been_here
from api.models import Account, Profile
from api.models_accounts import Badge
from api.presenting import Presenter
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import UserPath, check_person, user_id_of
from api.stores import Opened, Stores
from api.usernames import Named, find_named, take_username
from schemas.events import AccountRegistered, BadgeChanged
from sinks.sealing import seal
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1", tags=["accounts"])

NamePath = Annotated[str, Path(description="A username, or one that a person had before.", examples=["ada"])]
_MOVED: dict[int | str, dict[str, Any]] = {
    307: {
        "description": "They go by another username now.",
        "headers": {
            "Location": {
                "description": "Their page.",
                "schema": {"type": "string"},
                "example": "/api/v1/users/by-name/ada",
            }
        },
    }
}


@router.post("/accounts", status_code=201, responses=problems(400, 409, 413, 415, 422, 429, 503))
async def register(
    body: Registration, request: Request, response: Response, stores: Opened, retry: Retried, log: Said
) -> Account:
    """Open an account. Log in with POST /api/v1/sessions afterwards."""
    settings = stores.settings
    allowance = Allowance(settings.registration_burst, settings.registration_per_second)
    detail = "Too many accounts were registered from your address. Wait a moment."
    refusal = Problem(429, "too-many-registrations", detail)
    await count(request, stores, "registrations", f"registrations:{address_of(request)}", allowance, refusal)
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
        await been_here(request, stores, claim.id)
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
    near, _ = await asyncio.gather(fresh.reach_near(user_id), fresh.reach(user_id, "accounts", "follows", "user_posts"))
    return await profile_of(stores, visitor.user_id if visitor else None, user_id, near)


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
    near, _ = await asyncio.gather(
        fresh.reach_near(me.user_id), fresh.reach(me.user_id, "accounts", "follows", "user_posts")
    )
    return await profile_of(stores, me.user_id, me.user_id, near)


@router.put("/users/{user}/badge", responses=problems(401, 403, 404, 429, 503))
async def give_badge(user: UserPath, me: Moderator, stores: Opened, log: Said) -> Badge:
    """Say that this person is who they say they are. For moderators."""
    return await _badge(stores, log, me, user, verified=True)


@router.delete("/users/{user}/badge", responses=problems(401, 403, 404, 429, 503))
async def take_badge(user: UserPath, me: Moderator, stores: Opened, log: Said) -> Badge:
    """Take the badge away. For moderators."""
    return await _badge(stores, log, me, user, verified=False)


async def _badge(stores: Stores, log: Log, me: Person, user: str, *, verified: bool) -> Badge:
    user_id = await user_id_of(stores, user)
    await check_person(stores, user_id)
    await log.say(BadgeChanged(**log.by(me.user_id), user_id=user_id, verified=verified))
    return Badge(user_id=str(user_id), verified=verified)


async def profile_of(stores: Stores, viewer_id: int | None, user_id: int, near: bool = True) -> Profile:
    """A person's page, as ``viewer_id`` (None for a stranger) may see it; ``Problem`` 404."""
    profile = await Presenter(stores).profile(viewer_id, user_id, near)
    if profile is None:
        raise not_found("person")
    return profile
