"""``Idempotency-Key``: a retry of a request gives the same id and the same answer, and happens once."""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, Header

from api.log import now_ms
from api.problems import Problem
from api.stores import Opened, Stores
from sinks.idempotency import Claim, KeyReused


class Retry:
    """One request's idempotency key, if it has one."""

    def __init__(self, stores: Stores, key: str | None) -> None:
        self._stores = stores
        self._key = key

    @property
    def is_keyed(self) -> bool:
        """Whether the request brought a key."""
        return self._key is not None

    async def claim(self, owner: str, *request: str, proposed_id: int | None = None, at: int | None = None) -> Claim:
        """The id and event time of ``owner``'s ``request``: new ones, or those of its first try.

        ``request`` is everything that makes two requests the same one. Raises ``Problem`` 422 where the key came
        before with another request.
        """
        made = self._stores.snowflakes.next() if proposed_id is None else proposed_id
        now = now_ms() if at is None else at
        if self._key is None:
            return Claim(made, now, True)
        try:
            return await self._stores.idempotency.claim(owner, self._key, self._fingerprint(request), made, now)
        except KeyReused as error:
            detail = "This Idempotency-Key was used for another request. Use a new key for a new request."
            raise Problem(422, "idempotency-key-reused", detail) from error

    def _fingerprint(self, request: tuple[str, ...]) -> bytes:
        # Keyed, since a registration holds a password: without the key a fingerprint cannot be tried out.
        text = "\x00".join(f"{len(part)}:{part}" for part in request)
        return hmac.digest(self._stores.settings.jwt_secret.encode(), text.encode(), hashlib.sha256)


def _retry(
    stores: Opened,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A key of your making, such as a UUID: within 72 h, a retry with it is not done twice.",
            pattern=r"^[\x21-\x7e]{1,255}$",
            examples=["8a1f0c5e-3d5b-4f0e-9a57-6d1f0a2b7c11"],
        ),
    ] = None,
) -> Retry:
    return Retry(stores, idempotency_key)


Retried = Annotated[Retry, Depends(_retry)]
"""The request's idempotency key, in a route."""
