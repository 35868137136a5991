"""The events of the topic ``accounts``: who a person is."""

from __future__ import annotations

from schemas.event import Event


class AccountRegistered(Event, frozen=True, kw_only=True):
    """A person opened an account. Personal fields are sealed under the person's key."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    username: bytes
    name: bytes


class ProfileChanged(Event, frozen=True, kw_only=True):
    """A person changed their profile; carries the whole of it."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    name: bytes
    bio: bytes
