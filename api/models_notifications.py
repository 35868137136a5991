"""What goes out as JSON of notifications."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from api.bodies_notifications import Kind
from api.models import Id, Person, example

_NOTIFICATION = {
    "id": "5470930914329116493",
    "kind": "like",
    "text": "Ada, Bob and 42 others liked your photo.",
    "actors": [{"id": "1000000000000000001", "username": "ada", "name": "Ada"}],
    "actor_count": 44,
    "at": "2026-01-02T03:04:05.678Z",
    "seen": False,
    "post_id": "1000000000000000003",
    "comment_id": None,
    "story_id": None,
    "media_id": None,
    "code": None,
    "reason": None,
}


class Notification(BaseModel):
    """What people did about one thing. It keeps its id whatever becomes of it, and shrinks as they undo it."""

    model_config = example(_NOTIFICATION)

    id: Id
    kind: Kind
    text: str = Field(description="All of it in a sentence.")
    actors: list[Person] = Field(description="The newest of those who did it, newest first.")
    actor_count: int = Field(description="How many people did it, each counted once.")
    at: datetime | None = Field(description="When the newest of them did it.")
    seen: bool = Field(description="Whether you had seen the newest of it.")
    post_id: Id | None = Field(description="The post that it leads to.")
    comment_id: Id | None = Field(description="The newest comment that says it.")
    story_id: Id | None = Field(description="The story that was reacted to.")
    media_id: Id | None = Field(description="The file that was refused.")
    code: str | None = Field(description="Why, for machines.")
    reason: str | None = Field(description="Why, and what to do, for people.")


class Notifications(BaseModel):
    """A page of notifications, newest first."""

    model_config = example({"items": [_NOTIFICATION], "next_cursor": None, "unseen_count": 3, "position": "1742"})

    items: list[Notification]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")
    unseen_count: int = Field(description="How many of all your notifications have something new in them.")
    position: str | None = Field(description="Say that you have seen all up to here with PUT …/seen; null for nothing.")


class UnseenCount(BaseModel):
    """How many of your notifications have something new in them."""

    model_config = example({"unseen_count": 3})

    unseen_count: int


class Seen(BaseModel):
    """Up to where you have seen your notifications, as said now; a device that is behind takes nothing back."""

    model_config = example({"position": "1742"})

    position: str


class NotificationPreferences(BaseModel):
    """What you want to be told of."""

    model_config = example({"kinds": {"like": {"told": True, "pushed": False}}})

    kinds: dict[str, NotificationPreference] = Field(description="Every kind, by its name.")


class NotificationPreference(BaseModel):
    """Whether one kind of notification is told at all, and whether it is pushed to your devices."""

    told: bool
    pushed: bool
