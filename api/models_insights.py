"""What creators are told of their posts, stories and followers. Counts are of the time asked for."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from api.models import Id, example

_COUNTS = {
    "reach": 310,
    "impressions": 452,
    "dwell_ms": 1_204_000,
    "likes": 42,
    "comments": 7,
    "saves": 5,
    "shares": 2,
    "engagement_rate": 0.1806,
}
_HOUR = {"hour": 18, "impressions": 90, "likes": 12, "comments": 2, "saves": 1, "shares": 0, "engagement_rate": 0.1667}
_DAY = {"day": "2026-01-29", "gained": 3, "lost": 1, "followers": 1204}
_STORY_COUNTS = {"views": 140, "reach": 120, "completed": 90, "completion_rate": 0.75, "reactions": 6}
_TIME = {
    "since": "2026-01-02T00:00:00.000Z",
    "until": "2026-01-30T00:00:00.000Z",
    "complete_until": "2026-01-29T23:59:58.120Z",
}


class Time(BaseModel):
    """The time asked for, and how much of it is counted."""

    since: datetime
    until: datetime
    complete_until: datetime | None = Field(
        description="Whatever happened before then is counted; null where nothing is counted yet."
    )


class Counts(BaseModel):
    """What came of a post, or of several."""

    model_config = example(_COUNTS)

    reach: int = Field(description="People who saw it.")
    impressions: int = Field(description="How often it was seen.")
    dwell_ms: int = Field(description="For how long it was looked at in all, in milliseconds.")
    likes: int = Field(description="Without those taken back.")
    comments: int = Field(description="Without the deleted.")
    saves: int = Field(description="People who keep it.")
    shares: int = Field(description="People who passed it on.")
    engagement_rate: float | None = Field(
        description="Likes, comments, saves and shares for each person who saw it; null where nobody did. Of several "
        "posts: who saw two counts twice."
    )


class OfPost(BaseModel):
    """What came of one post."""

    model_config = example({"post_id": "1000000000000000003", "counts": _COUNTS})

    post_id: Id
    counts: Counts


class Insights(Time):
    """What came of all of one's posts, and of the fifty that reached most people."""

    model_config = example(
        {
            **_TIME,
            "total": _COUNTS,
            "followers": 1204,
            "followers_gained": 31,
            "followers_lost": 4,
            "posts": [{"post_id": "1000000000000000003", "counts": _COUNTS}],
        }
    )

    total: Counts
    followers: int = Field(description="At the end of the time asked for.")
    followers_gained: int
    followers_lost: int
    posts: list[OfPost]


class PostInsights(Time):
    """What came of one post."""

    model_config = example({"post_id": "1000000000000000003", **_TIME, "counts": _COUNTS})

    post_id: Id
    counts: Counts


class OfHour(BaseModel):
    """What happened in an hour of the day, on all days together."""

    model_config = example(_HOUR)

    hour: int = Field(description="From 0 to 23, in UTC.")
    impressions: int = Field(description="How often posts were seen.")
    likes: int
    comments: int
    saves: int
    shares: int
    engagement_rate: float | None = Field(
        description="Likes, comments, saves and shares for each impression; null where there was none."
    )


class HourInsights(Time):
    """When people turn to one's posts."""

    model_config = example({**_TIME, "hours": [_HOUR], "best": [18]})

    hours: list[OfHour] = Field(description="All 24, in order.")
    best: list[int] = Field(description="The hours in which most was done for each impression, three at most.")


class OfDay(BaseModel):
    """How one's followers changed in a day."""

    model_config = example(_DAY)

    day: date = Field(description="In UTC.")
    gained: int = Field(description="Who follows at its end and did not before it.")
    lost: int = Field(description="Who followed before it and does not at its end.")
    followers: int = Field(description="At its end.")


class FollowerInsights(Time):
    """How one's followers changed, day by day."""

    model_config = example({**_TIME, "days": [_DAY]})

    days: list[OfDay] = Field(description="Whole days in UTC, the oldest first, the last so far.")


class StoryCounts(BaseModel):
    """What came of a story, or of several."""

    model_config = example(_STORY_COUNTS)

    views: int = Field(description="How often it was opened.")
    reach: int = Field(description="People who opened it.")
    completed: int = Field(description="People who saw it to its end, at one time or another.")
    completion_rate: float | None = Field(
        description="How many of those who opened it saw it to its end; null where nobody did. Of several stories: who "
        "opened two counts twice."
    )
    reactions: int = Field(description="Without those taken back.")


class OfStory(BaseModel):
    """What came of one story."""

    model_config = example({"story_id": "1000000000000000008", "counts": _STORY_COUNTS})

    story_id: Id
    counts: StoryCounts


class StoryInsights(Time):
    """What came of all of one's stories, and of the fifty that reached most people."""

    model_config = example(
        {
            **_TIME,
            "total": _STORY_COUNTS,
            "stories": [{"story_id": "1000000000000000008", "counts": _STORY_COUNTS}],
        }
    )

    total: StoryCounts
    stories: list[OfStory]
