"""Password hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from api.passwords import WAITING, Passwords, TooBusy


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    """Cheap ones."""
    made = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield made
    made.close()


async def test_only_the_password_matches(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert hashed.startswith("$argon2id$") and "correct" not in hashed
    assert hashed != await passwords.hash("correct horse")
    assert await passwords.verify(hashed, "correct horse")
    assert not await passwords.verify(hashed, "wrong horse")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify("no hash", "correct horse")


async def test_weaker_hashes_are_outdated(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert not passwords.outdated(hashed)
    stronger = Passwords()
    assert stronger.outdated(hashed)
    stronger.close()


async def test_a_rush_is_turned_away_and_passes(passwords: Passwords) -> None:
    answers = await asyncio.gather(
        *(passwords.hash("correct horse") for _ in range(WAITING + 5)), return_exceptions=True
    )
    assert sum(isinstance(answer, TooBusy) for answer in answers) == 5
    assert await passwords.hash("correct horse")
