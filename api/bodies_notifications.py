"""What comes in as JSON of notifications."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal[
    "like",
    "comment",
    "reply",
    "mention",
    "tag",
    "follow",
    "request",
    "approval",
    "story_reaction",
    "upload_failed",
]


class SeenUpTo(BaseModel):
    """What was seen: `position` of a page of notifications."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"position": "1742"}})

    position: str = Field(pattern=r"^[0-9]{1,18}$")


class PreferenceChange(BaseModel):
    """What of one kind is wanted; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    told: bool | None = None
    pushed: bool | None = None


class PreferencesChange(BaseModel):
    """Kinds that are to change."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"kinds": {"like": {"pushed": False}}}})

    kinds: dict[Kind, PreferenceChange]
