"""Accounts: who is registered, and what their profile says. One row per person in ``accounts``.

Each column is what one kind of event said last, all of it from the topic ``accounts``, where one person's events stand
in one order; readers conclude from the columns. ``erased`` is terminal: nothing sets it back, and it takes along all
that was said before. What was on its way then is erased anew by the saga.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    AccountRegistered,
    BadgeChanged,
    ProfileChanged,
    RoleChanged,
    UsernameChanged,
)
from streams.records import Record
from streams.views import Mark, Refused, Upsert, View

ROLES = ("person", "moderator", "operator")
"""What people may be, those who may do more last."""


_SAID = ("username", "name", "bio", "registered_at", "links", "picture", "deactivated", "role", "verified")
"""What others than an erasure say."""


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert of the person's row for each event. Raises ``Refused`` for a role that nobody knows."""
    writes: list[Upsert] = []
    columns: dict[str, Any]
    for tp, offset, _, event in batch:
        match event:
            case AccountRegistered():
                columns = {"username": event.username, "name": event.name, "registered_at": event.at}
            case ProfileChanged():
                columns = {"name": event.name, "bio": event.bio, "links": event.links}
                columns["picture"] = msgspec.json.encode(event.picture).decode()
            case UsernameChanged():
                columns = {"username": event.username}
            case AccountDeactivated() | AccountReactivated():
                columns = {"deactivated": isinstance(event, AccountDeactivated)}
            case RoleChanged():
                if event.role not in ROLES:
                    raise Refused(f"nobody can be {event.role!r}: a role is one of {', '.join(ROLES)}")
                columns = {"role": event.role}
            case BadgeChanged():
                columns = {"verified": event.verified}
            case AccountErased():
                # What is sealed nobody can read any more; the rest, a picture in small above all, goes here.
                columns = dict.fromkeys(_SAID) | {"erased": True}
            case _:
                continue
        writes.append(Upsert(Mark(tp, offset), "accounts", {"user_id": event.user_id}, columns))
    return writes


ACCOUNTS: View[Upsert] = View("accounts", ("accounts",), project)
