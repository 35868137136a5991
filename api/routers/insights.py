"""Insights: what came of one's posts, for their author alone. The only routes that need ClickHouse."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.identity import Reader
from api.log import now_ms
from api.models_insights import Counts, Insights, OfPost, PostInsights
from api.presenting import moment
from api.problems import problems
from api.routes import IdPath, check_author, id_of, open_post
from api.stores import Opened, Stores
from sinks import insights
from sinks.insights import SOURCES

DAY_MS = 86_400_000
POSTS_AT_MOST = 50
router = APIRouter(prefix="/api/v1", tags=["insights"])
Days = Annotated[int, Query(description="How many days back, to this moment.", ge=1, le=365)]


@router.get("/me/insights", responses=problems(401, 422, 503))
async def own_insights(me: Reader, stores: Opened, days: Days = 28) -> Insights:
    """How far one's posts reached in the last `days`, what came of it, and how one's followers changed.

    Only likes, saves, comments and follows of that time count, and those of before it are not taken off. Counts follow
    the log by some seconds: `complete_until` says up to when they are whole.
    """
    until = now_ms()
    since = until - days * DAY_MS
    complete, (total, posts), growth = await asyncio.gather(
        _complete_until(stores, until),
        stores.insights.posts(me.user_id, since, until),
        stores.insights.growth(me.user_id, since, until),
    )
    most = sorted(posts.items(), key=lambda one: (-one[1].reach, -one[1].likes, -one[0]))[:POSTS_AT_MOST]
    return Insights(
        since=_at(since),
        until=_at(until),
        complete_until=moment(complete),
        total=_counts(total),
        followers=growth.followers,
        followers_gained=growth.gained,
        followers_lost=growth.lost,
        posts=[OfPost(post_id=str(post_id), counts=_counts(counts)) for post_id, counts in most],
    )


@router.get("/posts/{post_id}/insights", responses=problems(401, 403, 404, 422, 503))
async def post_insights(post_id: IdPath, me: Reader, stores: Opened, days: Days = 28) -> PostInsights:
    """How far one's post reached in the last `days`, and what came of it."""
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    check_author(row.author_id, me.user_id)
    until = now_ms()
    since = until - days * DAY_MS
    complete, (total, _) = await asyncio.gather(
        _complete_until(stores, until), stores.insights.posts(me.user_id, since, until, row.post_id)
    )
    return PostInsights(
        post_id=post_id, since=_at(since), until=_at(until), complete_until=moment(complete), counts=_counts(total)
    )


async def _complete_until(stores: Stores, now: int) -> int | None:
    """The time in ms before which every event is counted: ``now`` where the facts have come to the log's end, else the
    time of the last fact of whichever partition is behind; None where one of those has none."""
    ends = await asyncio.to_thread(stores.topics.ends)
    reached = await stores.insights.reached()
    nothing = insights.Reached(-1, 0)
    mine = {tp: end for tp, end in ends.items() if tp.topic in SOURCES}
    late = [one.at for tp, end in mine.items() if (one := reached.get(tp, nothing)).offset < end]
    return min(late, default=now) or None


def _at(ms: int) -> datetime:
    found = moment(ms)
    assert found is not None  # noqa: S101 (no time is 0 here)
    return found


def _counts(counts: insights.Counts) -> Counts:
    return Counts(**counts._asdict())
