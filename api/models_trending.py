"""What trends, as JSON."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.models import POST, Post, example

_STANDING = {"rank": 1, "score": 41.7, "expected": 3.2, "people": 57}


class Trending(BaseModel):
    """How something that trends stands."""

    rank: int = Field(description="Its place among all that trends, also among what is not shown to you.")
    score: float = Field(description="How far it is above what is usual for it, in units of what chance would do.")
    expected: float = Field(description="The decayed weight that its own long run makes one expect.")
    people: int = Field(description="People who turned to it lately, each counted once a day.")


class TrendingPost(Trending):
    """A post that trends."""

    model_config = example({**_STANDING, "post": POST})

    post: Post


class TrendingPosts(BaseModel):
    """A page of posts that trend, first the one that is furthest above what is usual for it."""

    model_config = example({"items": [{**_STANDING, "post": POST}], "at": "2026-01-02T03:00:00Z",
                            "next_cursor": None})  # fmt: skip

    items: list[TrendingPost]
    at: datetime = Field(description="The moment of the list: further pages are of the same.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class TrendingName(Trending):
    """A hashtag or a place that trends."""

    model_config = example({**_STANDING, "name": "dusk"})

    name: str = Field(description="The hashtag, without its sign, or the place.")


class TrendingNames(BaseModel):
    """A page of hashtags or places that trend, first the one that is furthest above what is usual for it."""

    model_config = example(
        {"items": [{**_STANDING, "name": "dusk"}], "at": "2026-01-02T03:00:00Z", "next_cursor": None}
    )

    items: list[TrendingName]
    at: datetime = Field(description="The moment of the list: further pages are of the same.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end.")


class DayPeople(BaseModel):
    """How many different people turned to it on one day, UTC."""

    day: date
    people: int


class StepWeight(BaseModel):
    """The weights of what people did, each once a day with what weighs most, from ``since`` on for one step."""

    since: datetime
    weight: int


class TrendExplanation(BaseModel):
    """Why something ranks where it does, or does not."""

    model_config = example(
        {
            "kind": "hashtags",
            "item": "dusk",
            "window": "1h",
            "at": "2026-01-02T03:00:00Z",
            "rank": 1,
            "people_needed": 3,
            "people": [{"day": "2026-01-02", "people": 57}],
            "weights": [{"since": "2026-01-02T02:55:00Z", "weight": 204}],
            "step_seconds": 300,
            "weight_1h": 196.3,
            "weight_24h": 211.0,
            "expected": 9.1,
            "score": 34.7,
            "why": "196.3 of weight in the window of 1h, where 9.1 are expected: rank 1.",
        }
    )

    kind: Literal["posts", "hashtags", "places"]
    item: str
    window: Literal["1h", "24h"]
    at: datetime
    rank: int | None = Field(description="As in the list; null where it stands in none.")
    people_needed: int = Field(description="Different people whom it takes to stand in a list.")
    people: list[DayPeople]
    weights: list[StepWeight] = Field(description="What the window sees, oldest first.")
    step_seconds: int = Field(description="How long one step of `weights` is.")
    weight_1h: float = Field(description="The weights, each halved with every hour.")
    weight_24h: float = Field(description="The weights, each halved with every day.")
    expected: float = Field(description="What its own long run makes of the window's weight.")
    score: float = Field(description="(weight - expected) / sqrt(expected + 20), by which lists are sorted.")
    why: str = Field(description="The same in a sentence.")
