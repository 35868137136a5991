"""What to explore, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.models import POST, Post, example

_REASON = {"kind": "saved_by_followed", "people": 12, "text": "12 people you follow saved this"}
_MODEL = {"version": "1767319200000-0a1b2c3d4e5f", "trained_at": "2026-01-02T02:00:00Z"}


class Reason(BaseModel):
    """Why a post is shown."""

    model_config = example(_REASON)

    kind: Literal["trending", "saved_by_followed", "similar"]
    people: int | None = Field(description="How many people the reason tells of; null where it tells of none.")
    text: str


class Explored(BaseModel):
    """A post to explore, and why."""

    model_config = example({"post": POST, "reason": _REASON})

    post: Post
    reason: Reason


class ExploreModel(BaseModel):
    """The model that said what is similar."""

    model_config = example(_MODEL)

    version: str
    trained_at: datetime


class ExploreFreshness(BaseModel):
    """How fresh a list is, and what it goes without."""

    model_config = example({"made_at": "2026-01-02T03:00:00Z", "model": _MODEL, "missing": []})

    made_at: datetime = Field(description="When the list was made: it stays the same for some minutes.")
    model: ExploreModel | None = Field(description="Null where no model was trained yet, or none can be used.")
    missing: list[Literal["trending", "saved_by_followed", "similar"]] = Field(
        description="Sources that could not be asked when the list was made."
    )


class Explore(BaseModel):
    """A page of posts that you have not seen, by people of whom each has one."""

    model_config = example(
        {
            "items": [{"post": POST, "reason": _REASON}],
            "freshness": {"made_at": "2026-01-02T03:00:00Z", "model": _MODEL, "missing": []},
            "next_cursor": None,
        }
    )

    items: list[Explored]
    freshness: ExploreFreshness
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")
