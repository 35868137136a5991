"""What goes out as JSON of stories."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.models import Id, Person, Picture, example

_PERSON = {"id": "1000000000000000001", "username": "ada", "name": "Ada", "verified": True}
_STICKER = {"kind": "place", "x": 500, "y": 120, "turn": 0, "size": 1000, "content": "London"}
_STORY: dict[str, Any] = {
    "id": "1000000000000000007",
    "author": _PERSON,
    "status": "published",
    "picture": Picture.model_config["json_schema_extra"]["example"],  # type: ignore[index]
    "stickers": [_STICKER],
    "music_id": "catalogue:4711",
    "published_at": "2026-01-02T03:04:06.012Z",
    "expires_at": "2026-01-03T03:04:06.012Z",
    "seen": False,
    "my_reaction": None,
    "code": None,
    "reason": None,
}
_HIGHLIGHT = {"id": "1000000000000000008", "name": "London", "made_at": "2026-01-02T03:04:05.678Z"}


class Sticker(BaseModel):
    """Something that lies on the picture. Places and sizes are in thousandths, ``turn`` in degrees."""

    model_config = example(_STICKER)

    kind: str
    x: int
    y: int
    turn: int
    size: int
    content: str


class StoryAccepted(BaseModel):
    """The story is in the log; it is seen as soon as its picture is ready."""

    model_config = example({"id": "1000000000000000007", "status": "processing"})

    id: Id
    status: Literal["processing"] = "processing"


class Story(BaseModel):
    """A story. Only its author sees one that is not published."""

    model_config = example(_STORY)

    id: Id
    author: Person
    status: Literal["processing", "published", "rejected"]
    picture: Picture | None = Field(description="Once the story is published.")
    stickers: list[Sticker]
    music_id: str
    published_at: datetime | None
    expires_at: datetime | None = Field(description="When nobody sees it any more; null for one in a highlight.")
    seen: bool = Field(description="Whether you said that you saw it, within a week.")
    my_reaction: str | None = Field(description="What you say to it.")
    code: str | None = Field(default=None, description="Why it was rejected, for machines.")
    reason: str | None = Field(default=None, description="Why it was rejected and what to do, for people.")


class Stories(BaseModel):
    """Somebody's stories, all on one page."""

    model_config = example({"items": [_STORY], "next_cursor": None})

    items: list[Story]
    next_cursor: str | None = Field(description="Always null: all of them are on one page.")


class TrayStory(BaseModel):
    """A story in a tray."""

    id: Id
    published_at: datetime
    expires_at: datetime
    seen: bool


class TrayEntry(BaseModel):
    """Somebody's stories in your tray, the oldest first."""

    author: Person
    all_seen: bool
    stories: list[TrayStory]


_TELLS = "2026-01-02T03:04:06.012Z"
_TRAY = {
    "author": _PERSON,
    "all_seen": False,
    "stories": [
        {"id": "1000000000000000007", "published_at": _TELLS, "expires_at": "2026-01-03T03:04:06.012Z", "seen": False}
    ],
}


class Tray(BaseModel):
    """A page of those whom you follow who have stories now."""

    model_config = example({"items": [_TRAY], "next_cursor": None})

    items: list[TrayEntry]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class StorySeen(BaseModel):
    """That you saw a story, from now on."""

    model_config = example({"story_id": "1000000000000000007", "seen": True})

    story_id: Id
    seen: bool


class Viewer(BaseModel):
    """Somebody who saw your story, or reacted to it."""

    person: Person
    viewed_at: datetime | None = Field(description="When they last saw it; null for who only reacted.")
    completed: bool = Field(description="Whether it was shown to its end.")
    reaction: str | None


class Viewers(BaseModel):
    """A page of those who saw your story within two days, by id."""

    model_config = example(
        {
            "items": [{"person": _PERSON, "viewed_at": _TELLS, "completed": True, "reaction": None}],
            "next_cursor": None,
        }
    )

    items: list[Viewer]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class Reaction(BaseModel):
    """What you say to a story, from now on."""

    model_config = example({"story_id": "1000000000000000007", "reaction": "\N{FIRE}"})

    story_id: Id
    reaction: str | None


class Highlight(BaseModel):
    """A named collection of somebody's own stories, which outlive their 24 hours in it."""

    model_config = example(_HIGHLIGHT)

    id: Id
    name: str
    made_at: datetime | None


class Highlights(BaseModel):
    """Somebody's highlights, the newest first."""

    model_config = example({"items": [_HIGHLIGHT], "next_cursor": None})

    items: list[Highlight]
    next_cursor: str | None = Field(description="Always null: all of them are on one page.")


class Highlighted(BaseModel):
    """Whether this story stands in this highlight, from now on."""

    model_config = example(
        {"highlight_id": "1000000000000000008", "story_id": "1000000000000000007", "highlighted": True}
    )

    highlight_id: Id
    story_id: Id
    highlighted: bool
