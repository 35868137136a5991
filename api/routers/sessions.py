"""Logging in, staying logged in, logging out."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request, Response

from api.access_tokens import Person
from api.bodies import Login, Refresh
from api.identity import Reader, address_of
from api.models import Tokens
from api.problems import Problem, problems
from api.stores import Opened, Stores
from api.usernames import Named, find_named, settle
from sinks.credentials import Opened as Session
from sinks.credentials import RefreshTokenReused
from sinks.throttles import Allowance

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


@router.post("", status_code=201, responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def log_in(body: Login, request: Request, response: Response, stores: Opened) -> Tokens:
    """Begin a session."""
    bucket = _bucket(body.username.casefold(), address_of(request))
    settings = stores.settings
    wait = await stores.throttles.take(bucket, Allowance(settings.login_burst, settings.login_per_second))
    if wait:
        detail = "Too many failed logins for this username. Wait before you try again."
        raise Problem(429, "too-many-logins", detail, retry_after=wait)
    name = await find_named(stores, body.username)
    credential = await stores.credentials.find(name.user_id) if name else None
    right = await stores.passwords.verify(credential.password_hash if credential else None, body.password)
    if name is None or credential is None or not right:
        raise Problem(401, "wrong-credentials", "The username or the password is wrong. Correct it and try again.")
    await _check_registered(stores, name)
    await stores.throttles.forgive(bucket)
    if stores.passwords.outdated(credential.password_hash):
        await stores.credentials.set_password(name.user_id, await stores.passwords.hash(body.password))
    return _tokens(stores, response, await stores.sessions.open(name.user_id))


async def _check_registered(stores: Stores, named: Named) -> None:
    """Confirm the name, if a registration came into the log but no further; ``Problem`` 409 if it did not."""
    name = await stores.usernames.find(named.username)
    if name is None or not await settle(stores, named.username, name):
        detail = "This registration was not finished. Try again in a moment, or register once more."
        raise Problem(409, "registration-unfinished", detail)


@router.post("/refresh", responses=problems(400, 401, 413, 415, 422, 503))
async def refresh_session(body: Refresh, response: Response, stores: Opened) -> Tokens:
    """Exchange the refresh token for new tokens. Each one is good once: a second use ends the session."""
    try:
        session = await stores.sessions.rotate(body.refresh_token)
    except RefreshTokenReused as error:
        detail = "This refresh token was used before, so its session has ended for safety. Log in again."
        raise Problem(401, "refresh-token-reused", detail) from error
    if session is None:
        detail = "This refresh token is not good, or its session has ended. Log in again."
        raise Problem(401, "invalid-refresh-token", detail)
    return _tokens(stores, response, session)


@router.delete("", status_code=204, responses=problems(401, 503))
async def log_out(me: Reader, stores: Opened) -> None:
    """End this session: its refresh token is good no more. The access token lives out its few minutes."""
    await stores.sessions.end(me.session_id)


def _tokens(stores: Stores, response: Response, session: Session) -> Tokens:
    response.headers["Cache-Control"] = "no-store"
    return Tokens(
        access_token=stores.access_tokens.issue(Person(session.user_id, session.session_id)),
        expires_in=stores.access_tokens.seconds,
        refresh_token=session.refresh_token,
        user_id=str(session.user_id),
    )


def _bucket(username: str, address: str) -> str:
    # Hashed, so that a name of any length or content makes a short key, and Redis holds no addresses.
    return "logins:" + hashlib.sha256(f"{len(username)}:{username}{address}".encode()).hexdigest()[:32]
