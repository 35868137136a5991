"""Who is asking: from the access token, and whether they may write now."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.access_tokens import AccessTokenInvalid, Person
from api.limits import address_of, check_address, count, tell_limit
from api.problems import Problem
from api.stores import Opened, Stores
from sinks.throttles import Allowance
from streams.accounts import ROLES

_bearer = HTTPBearer(auto_error=False, description="The `access_token` of POST /api/v1/sessions.")


def _count_read(request: Request, stores: Stores, who: str, whose: str) -> None:
    settings = stores.settings
    allowance = Allowance(settings.read_burst, settings.read_per_second)
    spent = stores.throttles.spend_here(f"reads:{who}", allowance)
    tell_limit(request, "reads", allowance, spent)
    if spent.wait:
        raise Problem(429, "too-many-reads", f"Too many requests come from {whose}.", retry_after=spent.wait)


def session_ended() -> Problem:
    """For whoever has a token, and may not come in any more."""
    return Problem(401, "session-ended", "The session of this access token has ended. Log in again.")


async def _visitor(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    stores: Opened,
) -> Person | None:
    if given is None:
        if "authorization" in request.headers:
            raise Problem(401, "invalid-token", "Send the token as `Authorization: Bearer <access token>`.")
        _count_read(request, stores, address_of(request), "your address. Log in, or wait a moment")
        return None
    try:
        person = stores.access_tokens.read(given.credentials)
    except AccessTokenInvalid as error:
        detail = f"This access token cannot be used: {error}. Refresh the session, or log in again."
        raise Problem(401, "invalid-token", detail) from error
    if not await stores.sessions.is_open(person.session_id):
        raise session_ended()
    if request.method == "GET":
        _count_read(request, stores, str(person.user_id), "you. Wait a moment")
    return person


Visitor = Annotated[Person | None, Depends(_visitor)]
"""Whoever asks; None without a token. A token that is wrong is refused all the same."""


async def _reader(visitor: Visitor) -> Person:
    if visitor is None:
        detail = "Log in with POST /api/v1/sessions, and send the access token as `Authorization: Bearer <token>`."
        raise Problem(401, "login-required", detail)
    return visitor


Reader = Annotated[Person, Depends(_reader)]
"""A person who is logged in."""


async def _writer(request: Request, reader: Reader, stores: Opened) -> Person:
    settings = stores.settings
    allowance = Allowance(settings.write_burst, settings.write_per_second)
    # Without Redis this gateway counts alone: a limit that failed open would be none just when it is needed, and one
    # that refused would make Redis a part of every write.
    refusal = Problem(429, "too-many-writes", "You write faster than is allowed. Wait a moment.")
    await count(request, stores, "writes", f"writes:{reader.user_id}", allowance, refusal)
    # Second, so that one person who is refused takes nothing from the others behind the same address.
    await check_address(request, stores)
    return reader


Writer = Annotated[Person, Depends(_writer)]
"""A person who is logged in and has not written too much."""


async def _moderator(writer: Writer) -> Person:
    if writer.role not in ROLES[1:]:
        raise Problem(403, "moderators-only", "Only moderators can do this. Ask an operator to make you one.")
    return writer


Moderator = Annotated[Person, Depends(_moderator)]
"""A moderator or an operator, by the role that their token carries."""


VISITOR, READER, WRITER, MODERATOR = _visitor, _reader, _writer, _moderator
"""The dependencies themselves, by which the OpenAPI document knows who may ask a route."""
