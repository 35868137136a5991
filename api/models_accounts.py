"""What goes out about accounts besides people's pages: sessions and badges."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.models import Id

_SESSION: dict[str, Any] = {
    "opened_at": "2026-01-02T03:04:05.678Z",
    "refreshed_at": "2026-01-03T03:04:05.678Z",
    "current": True,
}


class OpenSession(BaseModel):
    """One session of one's own."""

    model_config = ConfigDict(json_schema_extra={"example": _SESSION})

    opened_at: datetime
    refreshed_at: datetime
    current: bool = Field(description="Whether it is the one that asks.")


class OpenSessions(BaseModel):
    """One's sessions, the newest last."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_SESSION], "next_cursor": None}})

    items: list[OpenSession]
    next_cursor: None = Field(default=None, description="Always null: all of them are on one page.")


class Erasure(BaseModel):
    """One's erasure, which is under way."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "7310000000000000000", "erased_at": "2026-01-02T03:04:05.678Z"}}
    )

    id: Id
    erased_at: datetime = Field(description="When it was asked for. All is gone some seconds later.")


class Email(BaseModel):
    """One's verified address."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "ada@engines.example"}})

    email: str | None = Field(description="null for none.")


class MailAsked(BaseModel):
    """A mail is on its way, if it is to be sent at all: whether it is, nobody is told."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "accepted"}})

    status: Literal["accepted"] = "accepted"


class Badge(BaseModel):
    """Whether this person wears the badge, from now on."""

    model_config = ConfigDict(json_schema_extra={"example": {"user_id": "1000000000000000001", "verified": True}})

    user_id: Id
    verified: bool
