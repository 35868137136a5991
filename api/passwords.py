"""Argon2id off the event loop: a hash takes about 0.1 s and 64 MiB on purpose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

Done = TypeVar("Done")
WAITING = 64
"""Hashes that may wait for a thread: some seconds of work. More would be answered after their clients have left."""


class TooBusy(Exception):
    """Too many passwords wait to be hashed."""


class Passwords:
    """Hashes and verifies in its own threads, so that a rush of logins takes bounded memory and time.

    ``hash`` and ``verify`` raise ``TooBusy``.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="argon2")
        self._nobody: str | None = None
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """A salted hash of ``password``, with its parameters."""
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether they match. Without a hash it takes as long and says no: nobody learns which usernames exist."""
        if password_hash is None:
            if self._nobody is None:
                self._nobody = await self.hash(os.urandom(16).hex())
            await self._verified(self._nobody, password)
            return False
        return await self._verified(password_hash, password)

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _verified(self, password_hash: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(password_hash, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self._off_the_loop(verify)

    async def _off_the_loop(self, call: Callable[[], Done]) -> Done:
        if self._waiting >= WAITING:
            raise TooBusy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self._waiting -= 1
