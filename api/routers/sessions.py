"""Logging in, staying logged in, logging out."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from api.access_tokens import Person
from api.bodies import Login, Refresh
from api.identity import Reader
from api.limits import address_of, count
from api.log import Said, now_ms
from api.logins import Attempt, been_here
from api.models import Tokens
from api.models_accounts import OpenSession, OpenSessions
from api.problems import Problem, problems
from api.stores import Opened, Stores
from api.usernames import Named, find_named, settle
from schemas.events import AccountReactivated
from sinks.sessions import Opened as Session
from sinks.sessions import RefreshTokenReused
from sinks.throttles import Allowance
from streams.accounts import ROLES

router = APIRouter(prefix="/api/v1/sessions", tags=["sessions"])


@router.post("", status_code=201, responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def log_in(body: Login, request: Request, response: Response, stores: Opened, log: Said) -> Tokens:
    """Begin a session. Who had deactivated their account is back with it."""
    attempt = Attempt(request, stores, body.username)
    await attempt.begin()
    name = await find_named(stores, body.username)
    await attempt.go_on(name.user_id if name else None)
    credential = await stores.credentials.find(name.user_id) if name else None
    right = await stores.passwords.verify(credential.password_hash if credential else None, body.password)
    if name is None or credential is None or not right:
        raise Problem(401, "wrong-credentials", "The username or the password is wrong. Correct it and try again.")
    await _check_registered(stores, name)
    await attempt.succeed(name.user_id)
    if stores.passwords.outdated(credential.password_hash):
        await stores.credentials.set_password(name.user_id, await stores.passwords.hash(body.password))
    if credential.deactivated:
        token = await log.say(AccountReactivated(**log.by(name.user_id), user_id=name.user_id))
        await stores.credentials.set_profile_token(name.user_id, token)
        await stores.credentials.set_deactivated(name.user_id, False)
    return await _tokens(stores, response, await stores.sessions.open(name.user_id, now_ms()))


async def _check_registered(stores: Stores, named: Named) -> None:
    """Confirm the name, if a registration came into the log but no further; ``Problem`` 409 if it did not."""
    name = await stores.usernames.find(named.username)
    if name is None or not await settle(stores, named.username, name):
        detail = "This registration was not finished. Try again in a moment, or register once more."
        raise Problem(409, "registration-unfinished", detail)


@router.post("/refresh", responses=problems(400, 401, 413, 415, 422, 429, 503))
async def refresh_session(body: Refresh, request: Request, response: Response, stores: Opened) -> Tokens:
    """Exchange the refresh token for new tokens. Each one is good once: a second use ends the session."""
    await _check_refreshes(request, stores, body.refresh_token)
    try:
        session = await stores.sessions.rotate(body.refresh_token, now_ms())
    except RefreshTokenReused as error:
        detail = "This refresh token was used before, so its session has ended for safety. Log in again."
        raise Problem(401, "refresh-token-reused", detail) from error
    if session is None:
        detail = "This refresh token is not good, or its session has ended. Log in again."
        raise Problem(401, "invalid-refresh-token", detail)
    await been_here(request, stores, session.user_id)
    return await _tokens(stores, response, session)


async def _check_refreshes(request: Request, stores: Stores, token: str) -> None:
    settings = stores.settings
    by_address = Allowance(settings.address_refresh_burst, settings.address_refresh_per_second)
    detail = "This session, or your address, asks for new tokens too often. Use those that you have, and wait."
    refusal = Problem(429, "too-many-refreshes", detail)
    await count(request, stores, "address-refreshes", f"refreshes-from:{address_of(request)}", by_address, refusal)
    session_id, separator, _ = token.partition(".")
    if separator:
        by_session = Allowance(settings.refresh_burst, settings.refresh_per_second)
        named = hashlib.sha256(session_id.encode()).hexdigest()[:32]
        await count(request, stores, "refreshes", f"refreshes:{named}", by_session, refusal)


@router.get("", responses=problems(401, 429, 503))
async def list_sessions(me: Reader, stores: Opened) -> OpenSessions:
    """Where one is logged in: one that one does not know is a reason to log out everywhere."""
    rows = await stores.sessions.of(me.user_id)
    found = [
        OpenSession(
            opened_at=datetime.fromtimestamp(row.opened_at / 1000, UTC),
            refreshed_at=datetime.fromtimestamp(row.refreshed_at / 1000, UTC),
            current=row.session_id == me.session_id,
        )
        for row in rows
    ]
    return OpenSessions(items=found)


@router.delete("", status_code=204, responses=problems(401, 429, 503))
async def log_out(me: Reader, stores: Opened) -> None:
    """End this session: its tokens are good no more, the access token included."""
    await stores.sessions.end(me.session_id, me.user_id)


@router.delete("/all", status_code=204, responses=problems(401, 429, 503))
async def log_out_everywhere(me: Reader, stores: Opened) -> None:
    """End every session of one's own, this one too: no token of before is good any more."""
    await stores.sessions.end_all(me.user_id)


async def _tokens(stores: Stores, response: Response, session: Session) -> Tokens:
    account = (await stores.accounts.by_ids([session.user_id])).get(session.user_id)
    person = Person(session.user_id, session.session_id, account.role if account else ROLES[0])
    response.headers["Cache-Control"] = "no-store"
    return Tokens(
        access_token=stores.access_tokens.issue(person),
        expires_in=stores.access_tokens.seconds,
        refresh_token=session.refresh_token,
        user_id=str(session.user_id),
    )
