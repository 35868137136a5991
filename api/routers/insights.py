"""Insights: what came of one's posts and stories, for their author alone. The only routes that need ClickHouse.

People who were erased are not counted. Each answer says up to when it is whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.identity import Reader
from api.log import now_ms
from api.models_insights import (
    Counts,
    FollowerInsights,
    HourInsights,
    Insights,
    OfDay,
    OfHour,
    OfPost,
    OfStory,
    PostInsights,
    StoryCounts,
    StoryInsights,
)
from api.presenting import moment
from api.problems import problems
from api.routes import IdPath, check_author, id_of, open_post
from api.stores import Opened, Stores
from sinks import insights
from sinks.insights import OF_FOLLOWERS, OF_POSTS, OF_STORIES

DAY_MS = 86_400_000
AT_MOST = 50
"""Posts or stories that are told one by one."""
BEST_HOURS = 3
router = APIRouter(prefix="/api/v1", tags=["insights"])
Days = Annotated[int, Query(description="How many days back, to this moment.", ge=1, le=365)]


@router.get("/me/insights", responses=problems(401, 422, 503))
async def own_insights(me: Reader, stores: Opened, days: Days = 28) -> Insights:
    """How far one's posts reached in the last `days`, what came of it, and how one's followers changed.

    Only likes, saves, comments and follows of that time count, and those of before it are not taken off. Counts follow
    the log by some seconds: `complete_until` says up to when they are whole.
    """
    since, until = _time(days)
    complete, (total, posts), growth = await asyncio.gather(
        _complete_until(stores, until, {*OF_POSTS, *OF_FOLLOWERS}),
        stores.insights.posts(me.user_id, since, until),
        stores.insights.growth(me.user_id, since, until),
    )
    most = sorted(posts.items(), key=lambda one: (-one[1].reach, -one[1].likes, -one[0]))[:AT_MOST]
    return Insights(
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        total=Counts.model_validate(total, from_attributes=True),
        followers=growth.followers,
        followers_gained=growth.gained,
        followers_lost=growth.lost,
        posts=[
            OfPost(post_id=str(post_id), counts=Counts.model_validate(counts, from_attributes=True))
            for post_id, counts in most
        ],
    )


@router.get("/posts/{post_id}/insights", responses=problems(401, 403, 404, 422, 503))
async def post_insights(post_id: IdPath, me: Reader, stores: Opened, days: Days = 28) -> PostInsights:
    """How far one's post reached in the last `days`, and what came of it."""
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    check_author(row.author_id, me.user_id)
    since, until = _time(days)
    complete, (total, _) = await asyncio.gather(
        _complete_until(stores, until, OF_POSTS), stores.insights.posts(me.user_id, since, until, row.post_id)
    )
    return PostInsights(
        post_id=post_id,
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        counts=Counts.model_validate(total, from_attributes=True),
    )


@router.get("/me/insights/hours", responses=problems(401, 422, 503))
async def hour_insights(me: Reader, stores: Opened, days: Days = 28) -> HourInsights:
    """When people turned to one's posts in the last `days`, by the hour of the day in UTC: what was done in it and
    stands, for each impression of it."""
    since, until = _time(days)
    complete, hours = await asyncio.gather(
        _complete_until(stores, until, OF_POSTS), stores.insights.hours(me.user_id, since, until)
    )
    rates = {one.hour: one.engagement_rate for one in hours}
    best = sorted((hour for hour, rate in rates.items() if rate), key=lambda hour: (-(rates[hour] or 0), hour))
    return HourInsights(
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        hours=[OfHour.model_validate(one, from_attributes=True) for one in hours],
        best=best[:BEST_HOURS],
    )


@router.get("/me/insights/followers", responses=problems(401, 422, 503))
async def follower_insights(me: Reader, stores: Opened, days: Days = 28) -> FollowerInsights:
    """How one's followers changed, day by day in UTC, from the day on that was `days` ago. Who came and went within one
    changed nothing."""
    since, until = _time(days)
    complete, found = await asyncio.gather(
        _complete_until(stores, until, OF_FOLLOWERS), stores.insights.days(me.user_id, since, until)
    )
    return FollowerInsights(
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        days=[OfDay.model_validate(one, from_attributes=True) for one in found],
    )


@router.get("/me/insights/stories", responses=problems(401, 422, 503))
async def story_insights(me: Reader, stores: Opened, days: Days = 28) -> StoryInsights:
    """How many people one's stories reached in the last `days`, and how many saw them to their end or reacted."""
    since, until = _time(days)
    complete, (total, found) = await asyncio.gather(
        _complete_until(stores, until, OF_STORIES), stores.insights.stories(me.user_id, since, until)
    )
    most = sorted(found.items(), key=lambda one: (-one[1].reach, -one[1].reactions, -one[0]))[:AT_MOST]
    return StoryInsights(
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        total=StoryCounts.model_validate(total, from_attributes=True),
        stories=[
            OfStory(story_id=str(story_id), counts=StoryCounts.model_validate(counts, from_attributes=True))
            for story_id, counts in most
        ],
    )


async def _complete_until(stores: Stores, now: int, topics: Collection[str]) -> int | None:
    """The time in ms before which every event of ``topics`` is counted: ``now`` where the facts have come to the log's
    end, else the time of the last fact of whichever partition is behind; None where one of those has none."""
    ends = await asyncio.to_thread(stores.topics.ends)
    reached = await stores.insights.reached(topics)
    nothing = insights.Reached(-1, 0)
    mine = {tp: end for tp, end in ends.items() if tp.topic in topics}
    late = [one.at for tp, end in mine.items() if (one := reached.get(tp, nothing)).offset < end]
    return min(late, default=now) or None


def _time(days: int) -> tuple[int, int]:
    """From when to when, in ms."""
    until = now_ms()
    return until - days * DAY_MS, until


def _at(ms: int) -> datetime:
    found = moment(ms)
    assert found is not None  # noqa: S101 (no time is 0 here)
    return found
