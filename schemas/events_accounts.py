"""The events of the topic ``accounts``: who a person is."""

from __future__ import annotations

from schemas.event import Event, RenderedMedia


class AccountRegistered(Event, frozen=True, kw_only=True):
    """A person opened an account. Personal fields are sealed under the person's key."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    username: bytes
    name: bytes


class ProfileChanged(Event, frozen=True, kw_only=True):
    """A person changed their profile; carries the whole of it. ``links`` is a sealed JSON list of addresses, or empty;
    ``picture`` holds one picture or none."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    name: bytes
    bio: bytes
    links: bytes = b""
    picture: list[RenderedMedia] = []


class UsernameChanged(Event, frozen=True, kw_only=True):
    """A person has another username from here on; ``previous`` leads to them for a time. Both are sealed."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    username: bytes
    previous: bytes


class AccountDeactivated(Event, frozen=True, kw_only=True):
    """A person went away for a time: nobody sees them, nor what they made, until they come back."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int


class AccountReactivated(Event, frozen=True, kw_only=True):
    """A person who had gone away is back, with all that they made."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int


class RoleChanged(Event, frozen=True, kw_only=True):
    """What a person may do beyond their own: ``person``, ``moderator`` or ``operator``. The last one counts."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    role: str


class BadgeChanged(Event, frozen=True, kw_only=True):
    """Whether it is known that a person is who they say they are. The last one counts."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
    verified: bool


class AccountErased(Event, frozen=True, kw_only=True):
    """A person is gone for good, whatever else the log says of them; their key is destroyed."""

    TOPIC = "accounts"
    KEY = "user_id"
    user_id: int
