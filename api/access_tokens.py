"""Access tokens: short-lived JWTs that say who is asking."""

from __future__ import annotations

import time
from typing import NamedTuple

import jwt

from streams.accounts import ROLES

ALGORITHM = "HS256"
ISSUER = "shutterlog"
AUDIENCE = "shutterlog-api"
_TYPE = "access"
SECRET_BYTES = 32
SKEW_SECONDS = 600
"""How far ahead the clock of the gateway may be that issued a token: others take it none the less."""


class Person(NamedTuple):
    """Who is asking, in which session, and what they are here: one of ``streams.accounts.ROLES``."""

    user_id: int
    session_id: str
    role: str = "person"


class AccessTokenInvalid(Exception):
    """The token is forged, of another kind, or expired; the message says which, for the client's developer."""


class AccessTokens:
    """Issues and reads access tokens."""

    def __init__(self, secret: str, *, seconds: int) -> None:
        """Raises ``ValueError`` for a secret of fewer than 32 bytes, which could be guessed."""
        if len(secret.encode()) < SECRET_BYTES:
            raise ValueError(f"JWT_SECRET has to be set to at least {SECRET_BYTES} random bytes")
        self._secret = secret
        self.seconds = seconds

    def issue(self, person: Person) -> str:
        """A token for ``person``, good for ``seconds``."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(person.user_id),
            "sid": person.session_id,
            "role": person.role,
            "type": _TYPE,
            "iat": now,
            "exp": now + self.seconds,
        }
        return jwt.encode(claims, self._secret, ALGORITHM)

    def read(self, token: str) -> Person:
        """Who holds ``token``; raises ``AccessTokenInvalid``."""
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "sid", "type"], "verify_iat": False},
            )
            if int(claims["iat"]) > time.time() + SKEW_SECONDS:
                raise AccessTokenInvalid("it is from the future: the clock of a gateway is wrong")
            if claims["type"] != _TYPE:
                raise AccessTokenInvalid("it is not an access token")
            role = claims.get("role", ROLES[0])
            if role not in ROLES:
                raise AccessTokenInvalid("its role is none of ours")
            return Person(int(claims["sub"]), str(claims["sid"]), role)
        except jwt.ExpiredSignatureError as error:
            raise AccessTokenInvalid("it has expired") from error
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise AccessTokenInvalid("it is not valid") from error
