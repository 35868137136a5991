"""Highlights: named collections of one's own stories, which outlive their 24 hours in them."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from api.bodies_stories import HighlightDraft
from api.consistency import Fresh
from api.identity import Visitor, Writer
from api.log import Said
from api.models_stories import Highlight, Highlighted, Highlights, Stories
from api.presenting import moment
from api.presenting_stories import StoryPresenter
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import IdPath, UserPath, id_of, key_of, open_person, user_id_of
from api.stores import Opened, Stores
from schemas.events import (
    HighlightDeleted,
    HighlightMade,
    HighlightRenamed,
    StoryHighlighted,
    StoryUnhighlighted,
)
from schemas.ids import MIN_ID
from sinks.sealing import opened, seal
from sinks.stories import HighlightRow
from streams.rules import may_open_story

AT_MOST, STORIES_AT_MOST = 100, 100
router = APIRouter(prefix="/api/v1", tags=["stories"])
_VIEWS = ("stories", "accounts", "follows")


@router.post("/me/highlights", status_code=201, responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def make_highlight(
    body: HighlightDraft, me: Writer, stores: Opened, fresh: Fresh, retry: Retried, log: Said
) -> Highlight:
    """Make a highlight. Who may see what one posts sees it."""
    await fresh.reach(me.user_id, "stories")
    if len(await stores.stories.highlights(me.user_id)) >= AT_MOST:
        detail = f"You have {AT_MOST} highlights, and no more can be. Delete one of them first."
        raise Problem(409, "too-many-highlights", detail)
    claim = await retry.claim(str(me.user_id), "highlights", body.name)
    name = seal(await key_of(stores, me.user_id), me.user_id, body.name)
    said = log.by(me.user_id, event_id=claim.id, at=claim.at)
    await log.say(HighlightMade(**said, highlight_id=claim.id, author_id=me.user_id, name=name))
    return Highlight(id=str(claim.id), name=body.name, made_at=moment(claim.at))


@router.patch("/me/highlights/{highlight_id}", responses=problems(400, 401, 404, 413, 415, 422, 429, 503))
async def rename_highlight(
    highlight_id: IdPath, body: HighlightDraft, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> Highlight:
    """Give a highlight another name."""
    own = await _own(stores, fresh, me.user_id, highlight_id)
    name = seal(await key_of(stores, me.user_id), me.user_id, body.name)
    said = log.by(me.user_id)
    await log.say(HighlightRenamed(**said, highlight_id=own.highlight_id, author_id=me.user_id, name=name))
    return Highlight(id=highlight_id, name=body.name, made_at=moment(own.made_at))


@router.delete("/me/highlights/{highlight_id}", status_code=204, responses=problems(400, 401, 404, 429, 503))
async def delete_highlight(highlight_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Delete a highlight for good. The stories in it are not deleted by that; what of them is over is not seen any
    more."""
    own = await _own(stores, fresh, me.user_id, highlight_id)
    await log.say(HighlightDeleted(**log.by(me.user_id), highlight_id=own.highlight_id, author_id=me.user_id))


@router.put("/me/highlights/{highlight_id}/stories/{story_id}", responses=problems(400, 401, 404, 409, 422, 429, 503))
async def highlight_story(
    highlight_id: IdPath, story_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> Highlighted:
    """Put a story of one's own, which is still seen, into a highlight."""
    own = await _own(stores, fresh, me.user_id, highlight_id)
    now, number = stores.clock(), id_of(story_id, "story")
    facts, row = await asyncio.gather(
        stores.relations.facts(me.user_id, [me.user_id]), stores.stories.open(number, now)
    )
    if row is None or row.author_id != me.user_id or not may_open_story(row, facts, now):
        raise not_found("story")
    if row.media is None or row.published_at is None:
        raise Problem(409, "story-not-ready", "This story is not published yet. Try again once it is.")
    if len(await stores.stories.highlighted(me.user_id, own.highlight_id)) >= STORIES_AT_MOST:
        detail = f"There are {STORIES_AT_MOST} stories in this highlight, and no more can be. Take one out first."
        raise Problem(409, "highlight-full", detail)
    await log.say(
        StoryHighlighted(
            **log.by(me.user_id),
            highlight_id=own.highlight_id,
            story_id=row.story_id,
            author_id=me.user_id,
            published_at=row.published_at,
            media=row.media,
            stickers=list(row.stickers),
            music=row.music,
        )
    )
    return Highlighted(highlight_id=highlight_id, story_id=story_id, highlighted=True)


@router.delete("/me/highlights/{highlight_id}/stories/{story_id}", responses=problems(400, 401, 404, 422, 429, 503))
async def unhighlight_story(
    highlight_id: IdPath, story_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> Highlighted:
    """Take a story out of a highlight, whether or not it was in it."""
    own = await _own(stores, fresh, me.user_id, highlight_id)
    said = log.by(me.user_id)
    number = id_of(story_id, "story")
    if number < MIN_ID:  # no story ever had such an id
        raise not_found("story")
    await log.say(StoryUnhighlighted(**said, highlight_id=own.highlight_id, story_id=number, author_id=me.user_id))
    return Highlighted(highlight_id=highlight_id, story_id=story_id, highlighted=False)


@router.get("/users/{user}/highlights", responses=problems(400, 401, 403, 404, 503))
async def list_highlights(user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor) -> Highlights:
    """Somebody's highlights, the newest first: 100 at most, on one page."""
    user_id = await user_id_of(stores, user)
    await fresh.reach(user_id, *_VIEWS)
    await open_person(stores, visitor.user_id if visitor else None, user_id)
    rows, keys = await asyncio.gather(stores.stories.highlights(user_id), stores.keys.get_many([user_id]))
    items = [_shown(row, opened(keys, user_id, row.name)) for row in rows]
    return Highlights(items=items, next_cursor=None)


@router.get("/users/{user}/highlights/{highlight_id}/stories", responses=problems(400, 401, 403, 404, 503))
async def list_highlighted(
    user: UserPath, highlight_id: IdPath, stores: Opened, fresh: Fresh, visitor: Visitor
) -> Stories:
    """The stories in a highlight, the newest first."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, *_VIEWS)
    await open_person(stores, viewer_id, user_id)
    row = await stores.stories.highlight(user_id, id_of(highlight_id, "highlight"))
    if row is None:
        raise not_found("highlight")
    rows = await stores.stories.highlighted(user_id, row.highlight_id)
    return Stories(items=await StoryPresenter(stores, viewer_id).stories(rows), next_cursor=None)


async def _own(stores: Stores, fresh: Fresh, user_id: int, highlight_id: str) -> HighlightRow:
    """One's highlight; ``Problem`` 404."""
    await fresh.reach(user_id, "stories")
    own = await stores.stories.highlight(user_id, id_of(highlight_id, "highlight"))
    if own is None:
        raise not_found("highlight")
    return own


def _shown(row: HighlightRow, name: str) -> Highlight:
    return Highlight(id=str(row.highlight_id), name=name, made_at=moment(row.made_at))
