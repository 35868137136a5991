"""Access tokens, and what tries to pass for one."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from api.access_tokens import ALGORITHM, AUDIENCE, ISSUER, AccessTokenInvalid, AccessTokens, Person

SECRET = "a secret for tests that is long enough even for HS512: 64 bytes and some more"
PERSON = Person(1_000_000_000_000_000_001, "session")


def made(secret: str = SECRET, algorithm: str = ALGORITHM, **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(PERSON.user_id),
        "sid": PERSON.session_id,
        "type": "access",
        "iat": now,
        "exp": now + 60,
    }
    claims |= changes
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm)


def test_a_token_says_who_it_is() -> None:
    tokens = AccessTokens(SECRET, seconds=60)
    assert tokens.read(tokens.issue(PERSON)) == PERSON
    assert tokens.read(made()) == PERSON
    moderator = PERSON._replace(role="moderator")
    assert tokens.read(tokens.issue(moderator)) == moderator


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        made(secret="another secret, just as long as the first"),
        made(algorithm="HS512"),
        made(secret="", algorithm="none"),
        made(type="refresh"),
        made(type=None),
        made(exp=None),
        made(sub=None),
        made(sid=None),
        made(role="owner"),
        made(iss="elsewhere"),
        made(aud="elsewhere"),
        made(aud=None),
        made(sub="ada"),
        made(exp=int(time.time()) - 1),
        made(iat=int(time.time()) + 3600),
        made(iat="soon"),
        made(iat=[]),
    ],
)
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(AccessTokenInvalid):
        AccessTokens(SECRET, seconds=60).read(token)


def test_a_token_of_a_gateway_that_is_minutes_ahead_is_taken() -> None:
    now = int(time.time())
    assert AccessTokens(SECRET, seconds=60).read(made(iat=now + 300, exp=now + 360)) == PERSON


def test_an_expired_token_says_so() -> None:
    with pytest.raises(AccessTokenInvalid, match="expired"):
        AccessTokens(SECRET, seconds=60).read(made(exp=int(time.time()) - 1))


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="JWT_SECRET"):
        AccessTokens(secret, seconds=60)
