"""Addresses of pictures. All are signed and expire: those of private people soon, and for their viewers alone.

A picture's name is made of its content, so that an address without a signature would work for ever, for whoever has
seen it once.
"""

from __future__ import annotations

import hmac
import time
from hashlib import blake2b
from typing import NamedTuple

from sinks.settings import Settings


class Signed(NamedTuple):
    """What a signature says: how many seconds it goes on, and whether anybody may keep the picture for others."""

    seconds_left: int
    public: bool


class MediaUrls:
    """Makes and checks addresses, for one gateway; all gateways of a world share the secret."""

    def __init__(self, settings: Settings) -> None:
        base = settings.public_url or f"http://{settings.api_host}:{settings.api_port}"
        self._base = f"{base.rstrip('/')}/media/"
        self._seconds = {"public": settings.public_media_seconds, "private": settings.private_media_seconds}
        # A key of its own: a signature must never pass for a token, nor the other way round.
        self._key = blake2b(b"media addresses", key=settings.jwt_secret.encode()[:64], digest_size=32).digest()

    def of(self, key: str, *, public: bool, until: int | None = None) -> str:
        """The address of the object ``key``. It works for one to two of its kind's periods, and stays the same within
        one, so that clients and caches keep what they have. ``until``, in seconds since 1970, is when it ends at the
        latest: the same for all who read it, so that caches keep it as well."""
        kind = "public" if public else "private"
        seconds = self._seconds[kind]
        expires = (int(time.time()) // seconds + 2) * seconds
        if until is not None:
            expires = min(expires, until)
        return f"{self._base}{key}?for={kind}&expires={expires}&signature={self._signature(key, kind, expires)}"

    def check(self, key: str, kind: str, expires: int, signature: str) -> Signed | None:
        """What an address says; None where it was not made here. ``seconds_left`` is 0 or less where it has expired."""
        if not hmac.compare_digest(self._signature(key, kind, expires).encode(), signature.encode()):
            return None
        return Signed(expires - int(time.time()), kind == "public")

    def _signature(self, key: str, kind: str, expires: int) -> str:
        return blake2b(f"{kind} {expires} {key}".encode(), key=self._key, digest_size=20).hexdigest()
