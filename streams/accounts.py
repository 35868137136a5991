"""Accounts: who is registered, and what their profile says. One row per person in ``accounts``.

``username`` and ``registered_at`` are set by the registration, ``bio`` by a change of profile, ``name`` by both:
all of it from the topic ``accounts``, where one person's events stand in one order.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.events import AccountRegistered, ProfileChanged
from streams.records import Record
from streams.views import Mark, Upsert, View


def project(batch: Sequence[Record]) -> list[Upsert]:
    """One upsert of the person's row for each registration and each change of profile."""
    writes: list[Upsert] = []
    for tp, offset, _, event in batch:
        match event:
            case AccountRegistered():
                columns = {"username": event.username, "name": event.name, "registered_at": event.at}
            case ProfileChanged():
                columns = {"name": event.name, "bio": event.bio}
            case _:
                continue
        writes.append(Upsert(Mark(tp, offset), "accounts", {"user_id": event.user_id}, columns))
    return writes


ACCOUNTS: View[Upsert] = View("accounts", ("accounts",), project)
