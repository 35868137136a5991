"""Guessing passwords: how often somebody may try, and how the owner of an account still comes in meanwhile.

A try is counted three times: by name and address, by address over all names, and by name over all addresses. It counts
as a failure until it is none. Where the person has been before, the first count alone holds: whoever guesses from
elsewhere keeps them out of nothing, and neither does whoever else is behind the same address.
"""

from __future__ import annotations

import hashlib

from fastapi import Request

from api.limits import address_of, forgive, tell_limit
from api.problems import Problem
from api.stores import Stores
from sinks.throttles import Allowance

_TOLD = "logins"
"""One name for all three: which of them holds would say who has been here before."""


class Attempt:
    """One try to log in as ``username``."""

    def __init__(self, request: Request, stores: Stores, username: str) -> None:
        self._request, self._stores = request, stores
        self._username, self._address = username.casefold(), address_of(request)
        self._taken: dict[str, Allowance] = {}
        """What a success gives back."""

    async def begin(self) -> None:
        """Raise ``Problem`` 429 where this name was tried too often from this address."""
        await self._take(_bucket("logins", self._username, self._address), self._pair)

    async def go_on(self, user_id: int | None) -> None:
        """Whose name it is has been found, if it is anybody's. Raise ``Problem`` 429 where this address, or anybody,
        has failed too often, unless the person has been here before."""
        if user_id is not None and await self._stores.throttles.remembers(_mark(self._stores, user_id, self._address)):
            return
        settings = self._stores.settings
        # By person, so that a name that they had before is no second way; of nobody's name the same is said.
        whose = f"name:{self._username}" if user_id is None else f"person:{user_id}"
        by_address = Allowance(settings.login_address_burst, settings.login_address_per_second)
        by_name = Allowance(settings.login_name_burst, settings.login_name_per_second)
        await self._take(_bucket("logins-from", self._address), by_address, undo=True)
        await self._take(_bucket("logins-as", whose), by_name, undo=True)

    async def succeed(self, user_id: int) -> None:
        """It was they: nothing of it counts, and they have been here."""
        pair = _bucket("logins", self._username, self._address)
        await forgive(self._request, self._stores, _TOLD, pair, self._pair)
        for bucket, allowance in self._taken.items():
            await self._stores.throttles.give_back(bucket, allowance)  # the one token: others' failures stay
        await been_here(self._request, self._stores, user_id)

    @property
    def _pair(self) -> Allowance:
        return Allowance(self._stores.settings.login_burst, self._stores.settings.login_per_second)

    async def _take(self, bucket: str, allowance: Allowance, *, undo: bool = False) -> None:
        spent = await self._stores.throttles.spend(bucket, allowance)
        if spent.wait or not undo:
            tell_limit(self._request, _TOLD, allowance, spent)
        if spent.wait:
            detail = "Too many logins have failed. Wait before you try again, or set a new password by mail."
            raise Problem(429, "too-many-logins", detail, retry_after=spent.wait)
        if undo:
            self._taken[bucket] = allowance


async def been_here(request: Request, stores: Stores, user_id: int) -> None:
    """Remember that this person has proved who they are at the address of ``request``, for as long as a session."""
    mark = _mark(stores, user_id, address_of(request))
    await stores.throttles.remember(mark, stores.settings.refresh_token_seconds)


def _mark(stores: Stores, user_id: int, address: str) -> str:
    # Keyed: it stays for weeks, and whoever reads Redis is not to try out who was where.
    key = hashlib.sha256(stores.settings.jwt_secret.encode()).digest()
    return hashlib.blake2b(f"{user_id} {address}".encode(), key=key, digest_size=16).hexdigest()


def _bucket(kind: str, *parts: str) -> str:
    # Hashed, so that a name of any length or content makes a short key, and Redis holds no addresses.
    whole = "".join(f"{len(part)}:{part}" for part in parts)
    return f"{kind}:{hashlib.sha256(whole.encode()).hexdigest()[:32]}"
