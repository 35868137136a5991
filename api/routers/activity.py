"""Activity: what people look at, as their clients report it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from api.access_tokens import Person
from api.bodies_activity import SeenPost, Sights, number_of
from api.consistency import Fresh
from api.identity import Reader
from api.limits import check_address, count
from api.log import Said, now_ms
from api.problems import Problem, problems
from api.routes import about
from api.stores import Opened, Stores
from schemas.events import Event, PostSeen, ProfileVisited
from sinks.throttles import Allowance
from streams.experiments import Exposure, holds
from streams.rules import in_list, may_meet

OLDEST_MS = 86_400_000
router = APIRouter(prefix="/api/v1", tags=["activity"])


async def _reporter(request: Request, reader: Reader, stores: Opened) -> Person:
    allowance = Allowance(stores.settings.activity_burst, stores.settings.activity_per_second)
    detail = "You report what you see faster than is allowed. Collect it, and send up to 100 at once."
    refusal = Problem(429, "too-much-activity", detail)
    await count(request, stores, "activity", f"activity:{reader.user_id}", allowance, refusal)
    await check_address(request, stores)
    return reader


Reporter = Annotated[Person, Depends(_reporter)]
"""A person who is logged in. What they look at is limited apart from what they write: looking costs no like."""


@router.post("/activity", status_code=204, responses=problems(400, 401, 413, 415, 422, 429, 503))
async def report_activity(body: Sights, me: Reporter, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Report the posts that you saw and the profiles that you visited, up to 100 together.

    One bad item refuses all of them, and the problem names it. What is your own, what is not there and what you may
    not see is left out without a word; so is an exposure that is not yours. A report that is sent twice counts twice.
    """
    await fresh.reach(me.user_id, "posts", "accounts", "follows")
    now = now_ms()
    post_times = [_time(now, f"posts.{n}", one.at) for n, one in enumerate(body.posts)]
    profile_times = [_time(now, f"profiles.{n}", one.at) for n, one in enumerate(body.profiles)]
    user_ids = {number_of(one.user_id) for one in body.profiles}
    rows, people = await asyncio.gather(
        stores.posts.by_ids({number_of(one.post_id) for one in body.posts}), stores.accounts.by_ids(user_ids)
    )
    facts = await stores.relations.facts(me.user_id, {*people, *(row.author_id for row in rows.values())})

    def events() -> Iterator[Event]:
        for sight, at in zip(body.posts, post_times, strict=True):
            row = rows.get(number_of(sight.post_id))
            if row is not None and row.author_id != me.user_id and in_list(row, facts):
                seen: dict[str, Any] = {"dwell_ms": sight.dwell_ms, "surface": sight.surface, "rank": sight.rank}
                seen |= _exposed(stores, me.user_id, sight)
                yield PostSeen(**log.by(me.user_id, at=at), viewer_id=me.user_id, **seen, **about(row))
        for visit, at in zip(body.profiles, profile_times, strict=True):
            user_id = number_of(visit.user_id)
            if user_id != me.user_id and user_id in people and may_meet(facts, user_id):
                yield ProfileVisited(**log.by(me.user_id, at=at), viewer_id=me.user_id, profile_id=user_id)

    await log.say_all(list(events()))


def _exposed(stores: Stores, user_id: int, sight: SeenPost) -> dict[str, str]:
    """The experiment that a sight in the feed counts for: only what this person gets by lot, whatever was sent."""
    try:
        exposure = Exposure.parse(sight.exposure or "")
    except ValueError:
        return {}
    if sight.surface != "feed" or not holds(stores.experiments, exposure, user_id):
        return {}
    return exposure._asdict()


def _time(now: int, item: str, at: datetime | None) -> int:
    """The event time of an item, in ms, never later than ``now``; ``Problem`` 422 for one that is too old."""
    if at is None:
        return now
    said = int(at.timestamp() * 1000)
    if said < now - OLDEST_MS:
        why = "it was more than a day ago"
        errors = [{"field": f"body.{item}.at", "detail": why}]
        raise Problem(422, "invalid-request", f"Correct these fields: body.{item}.at ({why})", errors=errors)
    return min(said, now)
