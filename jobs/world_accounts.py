"""What the people of a simulated world do with their own accounts: profiles, names, going away, maybe for good."""

from __future__ import annotations

from typing import Any

from jobs.world import World
from schemas.events import (
    AccountDeactivated,
    AccountErased,
    AccountReactivated,
    BadgeChanged,
    Event,
    ProfileChanged,
    RoleChanged,
    UsernameChanged,
)

RENAMED, AWAY, BADGE, ROLE, ERASED = 0.15, 0.25, 0.30, 0.33, 0.35
"""Up to where a random number means a new username, going away, a badge, a role, an erasure; above, it is a new
profile."""


class Accounts:
    """Who goes by which name, who is away, and who wears a badge."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._renamed = 0
        self._away: set[int] = set()
        self._verified: set[int] = set()
        self._moderators: set[int] = set()

    def change(self, number: int) -> Event:
        """One thing that the person of this number does. Who is away comes back."""
        world, user, kind = self._world, self._world.people[number], self._world.random.random()
        by: dict[str, Any] = {"event_id": world.ids.next(), "at": world.ids.at, "actor_id": user, "user_id": user}
        if user in self._away:
            self._away.discard(user)
            return AccountReactivated(**by)
        if kind < RENAMED:
            self._renamed += 1
            # Numbered by the world: two names with one look are refused.
            before, world.names[user] = world.names[user], f"sim{world.plan.seed}_new_{self._renamed}"
            return UsernameChanged(
                **by,
                username=world.sealed(user, by["event_id"], "username", world.names[user]),
                previous=world.sealed(user, by["event_id"], "previous", before),
            )
        if kind < AWAY:
            self._away.add(user)
            return AccountDeactivated(**by)
        if kind < BADGE:
            self._verified ^= {user}
            return BadgeChanged(**by, verified=user in self._verified)
        if kind < ROLE:
            self._moderators ^= {user}
            return RoleChanged(**by, role="moderator" if user in self._moderators else "person")
        if kind < ERASED and world.may_erase(number):
            world.erased.add(number)
            return AccountErased(**by)
        return self.profile(user)

    def profile(self, user: int) -> ProfileChanged:
        """A new name, bio and, for some, a link."""
        world, event_id = self._world, self._world.ids.next()
        link = f'["https://{world.words(1)}.example"]' if world.random.random() < 0.3 else ""
        return ProfileChanged(
            event_id=event_id,
            at=world.ids.at,
            actor_id=user,
            user_id=user,
            name=world.sealed(user, event_id, "name", world.words(2).title()),
            bio=world.sealed(user, event_id, "bio", world.words(6)),
            links=world.sealed(user, event_id, "links", link) if link else b"",
        )
