"""What comes in as JSON of stories."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from api.bodies import Text, web_address

_ID = r"^[0-9]{1,19}$"


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StickerDraft(_Given):
    """Something that lies on the picture. Places and sizes are in thousandths."""

    kind: Literal["mention", "hashtag", "place", "text", "emoji", "link"]
    x: Annotated[int, Field(ge=0, le=1000)] = Field(description="Of its middle, from the left.")
    y: Annotated[int, Field(ge=0, le=1000)] = Field(description="Of its middle, from the top.")
    turn: Annotated[int, Field(ge=-360, le=360)] = Field(default=0, description="Degrees, clockwise.")
    size: Annotated[int, Field(ge=1, le=10_000)] = Field(default=1000, description="Of its usual size.")
    content: Annotated[Text, StringConstraints(max_length=500)] = Field(
        default="",
        description="Whom it names, which tag or place, what it says; of a link, the web address.",
        validate_default=True,
    )

    @field_validator("content")
    @classmethod
    def _leads_somewhere(cls, content: str, others: ValidationInfo) -> str:
        return web_address(content) if others.data.get("kind") == "link" else content


class StoryDraft(_Given):
    """A story to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "media_id": "1000000000000000001",
                "stickers": [{"kind": "place", "x": 500, "y": 120, "content": "London"}],
                "music_id": "catalogue:4711",
            }
        }
    )
    media_id: Annotated[str, StringConstraints(pattern=_ID)] = Field(description="A picture of one's own.")
    stickers: list[StickerDraft] = Field(default=[], max_length=30)
    music_id: Annotated[Text, StringConstraints(max_length=128)] = Field(
        default="", description="The piece that plays with it, as your catalogue calls it."
    )


class Watched(_Given):
    """How a story was watched."""

    model_config = ConfigDict(json_schema_extra={"example": {"watched_ms": 5000, "completed": True}})
    watched_ms: Annotated[int, Field(ge=0, le=3_600_000)] = Field(default=0, description="For how long it was shown.")
    completed: bool = Field(default=False, description="Whether it was shown to its end.")


class ReactionDraft(_Given):
    """What one says to a story."""

    model_config = ConfigDict(json_schema_extra={"example": {"reaction": "🔥"}})
    reaction: Annotated[Text, StringConstraints(min_length=1, max_length=16, pattern=r"^[^\sA-Za-z]+$")] = Field(
        description="One emoji."
    )


class HighlightDraft(_Given):
    """A highlight's name."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "London"}})
    name: Annotated[Text, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
