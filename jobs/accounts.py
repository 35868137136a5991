"""What operators do with accounts: who is a moderator, who an operator, who is to be erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from schemas.events import AccountErased, RoleChanged
from schemas.ids import MAX_ID, MIN_ID
from sinks.accounts import AccountReader
from sinks.cassandra import Cassandra
from sinks.credentials import Credentials
from sinks.generations import GenerationLog
from sinks.producer import Producer
from sinks.scans import scan_table
from sinks.sessions import Sessions
from sinks.settings import Settings
from sinks.snowflakes import SnowflakeMaker
from sinks.usernames import Usernames
from streams.accounts import ROLES
from streams.usernames import folded

VIEW_SECONDS = 10.0
"""How long to wait for the accounts view, so that whoever logs in next gets a token with the new role."""
_NODE = 1023
"""Gateways are numbered from 0."""


class AccountUnknown(LookupError):
    """There is no such person."""


class RoleUnknown(ValueError):
    """There is no such role."""


def change_role(settings: Settings, who: str, role: str, *, dry_run: bool = False) -> str:
    """Give ``who``, a username or an id, another role and end their sessions; a sentence about it.

    Raises ``AccountUnknown``, ``RoleUnknown`` and ``StoreAway``.
    """
    if role not in ROLES:
        raise RoleUnknown(f"nobody can be {role!r}: a role is one of {', '.join(ROLES)}")
    return asyncio.run(_change_role(settings, who, role, dry_run))


async def _change_role(settings: Settings, who: str, role: str, dry_run: bool) -> str:
    live = (await asyncio.to_thread(GenerationLog(settings).of, "accounts")).live
    async with await Cassandra.connect(settings) as cassandra:
        accounts = AccountReader(cassandra, live)
        user_id = await _person(cassandra, who)
        account = (await accounts.by_ids([user_id])).get(user_id)
        if account is None:
            raise AccountUnknown(f"there is no account {user_id} in the accounts view")
        if account.role == role:
            return f"{who} is {role} already"
        if dry_run:
            return f"would make {who}, who is {account.role}, {role}, and end their sessions"
        async with Producer(settings) as producer:
            now = time.time_ns() // 1_000_000
            event_id = SnowflakeMaker(_NODE).next()
            # Nobody is logged in at a command line: the log names the person themself.
            await producer.produce(RoleChanged(event_id=event_id, at=now, actor_id=user_id, user_id=user_id, role=role))
        end = time.monotonic() + VIEW_SECONDS
        while (seen := (await accounts.by_ids([user_id]))[user_id].role != role) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        ended = await Sessions(cassandra, seconds=settings.refresh_token_seconds).end_all(user_id)
    late = "; the accounts view does not show it yet, so it counts once its agent has caught up" if seen else ""
    return f"{who} is {role} from their next login on; sessions ended: {ended}{late}"


def erase(settings: Settings, who: Sequence[str], *, dry_run: bool = False) -> list[str]:
    """Erase ``who``, usernames or ids, for good; a sentence about each. An id may be of somebody who was erased before:
    after a restore from a backup that is older, they are to be erased again.

    Raises ``AccountUnknown``, before anybody is erased, and ``StoreAway``.
    """
    return asyncio.run(_erase(settings, who, dry_run))


async def _erase(settings: Settings, who: Sequence[str], dry_run: bool) -> list[str]:
    async with await Cassandra.connect(settings) as cassandra:
        people = {one: await _person(cassandra, one) for one in who}
        if dry_run:
            return [f"would erase {one} ({user_id})" for one, user_id in people.items()]
        snowflakes, now = SnowflakeMaker(_NODE), time.time_ns() // 1_000_000
        async with Producer(settings) as producer:
            # Nobody is logged in at a command line: the log names the person themself.
            await producer.produce_many(
                [
                    AccountErased(event_id=snowflakes.next(), at=now, actor_id=user_id, user_id=user_id)
                    for user_id in people.values()
                ]
            )
        credentials = Credentials(cassandra)
        sessions = Sessions(cassandra, seconds=settings.refresh_token_seconds)
        for user_id in people.values():
            await credentials.remove(user_id)
            await sessions.end_all(user_id)
    return [f"{user_id} is erased; agents remove what is left of them" for user_id in people.values()]


def erased(settings: Settings) -> list[int]:
    """The ids of all who are erased, by the accounts view. Raises ``StoreAway``."""
    return asyncio.run(_erased(settings))


async def _erased(settings: Settings) -> list[int]:
    live = (await asyncio.to_thread(GenerationLog(settings).of, "accounts")).live
    async with await Cassandra.connect(settings) as cassandra:
        return sorted([row.user_id async for row in scan_table(cassandra, "accounts", live) if row.erased])


async def _person(cassandra: Cassandra, who: str) -> int:
    if who.isascii() and who.isdecimal() and len(who) <= len(str(MAX_ID)) and MIN_ID <= int(who) <= MAX_ID:
        return int(who)
    try:
        name = await Usernames(cassandra).find(folded(who))
    except ValueError as error:
        raise AccountUnknown(f"nobody has the username {who!r}: {error}") from error
    if name is None or name.replaced_at is not None:
        raise AccountUnknown(f"nobody goes by the username {who!r}; an id has 19 digits")
    return name.user_id
