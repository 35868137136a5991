"""Usernames in the gateway: taking one, and finding who goes by one."""

from __future__ import annotations

from typing import NamedTuple

from api.log import now_ms
from api.problems import Problem
from api.stores import Stores
from sinks.sealing import opened
from sinks.usernames import RESERVATION_MS, Name
from streams.usernames import folded, skeleton

DAY_MS = 86_400_000


class Named(NamedTuple):
    """Who is found by a name. ``current`` unless they go by another one now."""

    user_id: int
    username: str
    current: bool


async def find_named(stores: Stores, text: str) -> Named | None:
    """Whose username ``text`` is, or was not long ago; None for nobody's, and for what is no username."""
    try:
        username = folded(text)
    except ValueError:
        return None
    name = await stores.usernames.find(username)
    if name is None or _let_go(stores, name):
        return None
    return Named(name.user_id, username, name.replaced_at is None)


async def current_username(stores: Stores, user_id: int) -> str | None:
    """What a person goes by, as the accounts view knows it."""
    account = (await stores.accounts.by_ids([user_id])).get(user_id)
    if account is None:
        return None
    return opened(await stores.keys.get_many([user_id]), user_id, account.username)


async def take_username(stores: Stores, username: str, user_id: int) -> None:
    """Reserve ``username`` for this person, and what looks like it; ``Problem`` 409 where it is not to be had."""
    await _take_likeness(stores, username, user_id)
    now = now_ms()
    held = await stores.usernames.reserve(username, user_id, now)
    if held.user_id == user_id:
        return
    if not await _is_free(stores, username, held):
        raise _taken(username)
    if not await stores.usernames.take_over(username, held, user_id, now):
        raise _taken(username)


async def settle(stores: Stores, username: str, name: Name) -> bool:
    """Whether ``name`` is somebody's for good: an unconfirmed one is, and is confirmed, if they go by it."""
    if name.confirmed:
        return True
    if await current_username(stores, name.user_id) != username:
        return False
    await stores.usernames.confirm(username, name.user_id)
    return True


async def _take_likeness(stores: Stores, username: str, user_id: int) -> None:
    look, now = skeleton(username), now_ms()
    held = await stores.usernames.claim_likeness(look, username, user_id, now)
    if held.user_id == user_id:
        return
    if now - held.reserved_at > RESERVATION_MS:
        name = await stores.usernames.find(held.username)
        free = name is None or name.user_id != held.user_id or await _is_free(stores, held.username, name)
        if free and await stores.usernames.take_likeness(look, held, username, user_id, now):
            return
    if held.username == username:
        raise _taken(username)
    detail = f"The username {username} looks like one that somebody has. Choose one that cannot be taken for it."
    raise Problem(409, "username-alike", detail)


async def _is_free(stores: Stores, username: str, name: Name) -> bool:
    """Whether nobody holds the name any more."""
    if name.confirmed:
        return _let_go(stores, name)
    # Whoever reserved it may have gone away in between: after it came into the log, or before.
    return now_ms() - name.reserved_at > RESERVATION_MS and not await settle(stores, username, name)


def _let_go(stores: Stores, name: Name) -> bool:
    """Whether its owner took another name so long ago that it leads to them no more."""
    kept_ms = stores.settings.username_kept_days * DAY_MS
    return name.replaced_at is not None and now_ms() - name.replaced_at > kept_ms


def _taken(username: str) -> Problem:
    return Problem(409, "username-taken", f"The username {username} is taken. Choose another one.")
