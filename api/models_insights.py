"""What creators are told of their posts. Counts are of the time asked for."""

from __future__ import annotations

from datetime import datetime

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
}
_TIME = {
    "since": "2026-01-02T00:00:00.000Z",
    "until": "2026-01-30T00:00:00.000Z",
    "complete_until": "2026-01-29T23:59:58.120Z",
}


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


class OfPost(BaseModel):
    """What came of one post."""

    model_config = example({"post_id": "1000000000000000003", "counts": _COUNTS})

    post_id: Id
    counts: Counts


class Insights(BaseModel):
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

    since: datetime
    until: datetime
    complete_until: datetime | None = Field(
        description="Whatever happened before then is counted; null where nothing is counted yet."
    )
    total: Counts
    followers: int = Field(description="At the end of the time asked for.")
    followers_gained: int
    followers_lost: int
    posts: list[OfPost]


class PostInsights(BaseModel):
    """What came of one post."""

    model_config = example({"post_id": "1000000000000000003", **_TIME, "counts": _COUNTS})

    post_id: Id
    since: datetime
    until: datetime
    complete_until: datetime | None = Field(
        description="Whatever happened before then is counted; null where nothing is counted yet."
    )
    counts: Counts
