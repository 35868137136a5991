"""Stories: for 24 hours, for those who may see what their author posts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response

from api.bodies_stories import ReactionDraft, StoryDraft, Watched
from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Reader, Visitor, Writer
from api.log import Said
from api.models_stories import Reaction, Stories, Story, StoryAccepted, StorySeen, Tray, Viewer, Viewers
from api.presenting import Presenter, moment
from api.presenting_stories import StoryPresenter, TrayCursor, from_tray_cursor, may_see
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import IdPath, UserPath, check_author, check_own_media, id_of, key_of, open_person, user_id_of
from api.stores import Opened, Stores
from schemas.events import Sticker as LaidSticker
from schemas.events import (
    StoryDeleted,
    StoryReacted,
    StoryReactionWithdrawn,
    StorySubmitted,
    StoryViewed,
)
from sinks.sealing import seal
from sinks.stories import StoryRow
from streams.story_tray import Place

router = APIRouter(prefix="/api/v1", tags=["stories"])
_VIEWS = ("stories", "story_views", "accounts", "follows")
_ANSWERS = problems(400, 401, 404, 422, 429, 503)
How = Annotated[Watched, Body(default_factory=Watched)]
_FROM = TrayCursor(1_767_323_045_678, Place(False, -4, -1_767_312_000_000, 1_000_000_000_000_000_001))
From = Annotated[
    str | None, Query(description="`next_cursor` of the previous page.", max_length=64, examples=[_FROM.text()])
]


@router.post("/stories", status_code=202, responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503))
async def submit_story(
    body: StoryDraft, response: Response, me: Writer, stores: Opened, retry: Retried, log: Said
) -> StoryAccepted:
    """Make a story of one's upload. It is seen as soon as its picture is ready, for 24 hours from then on."""
    media_id = id_of(body.media_id, "upload")
    await check_own_media(stores, me.user_id, [media_id])
    more = [one.model_dump_json() for one in body.stickers]
    claim = await retry.claim(str(me.user_id), "stories", body.media_id, body.music_id, *more)
    key = await key_of(stores, me.user_id)
    stickers = [
        LaidSticker(**one.model_dump(exclude={"content"}), content=seal(key, me.user_id, one.content))
        for one in body.stickers
    ]
    await log.say(
        StorySubmitted(
            **log.by(me.user_id, event_id=claim.id, at=claim.at),
            story_id=claim.id,
            author_id=me.user_id,
            media_id=media_id,
            stickers=stickers,
            music=body.music_id,
        )
    )
    response.headers["Location"] = f"/api/v1/stories/{claim.id}"
    return StoryAccepted(id=str(claim.id))


@router.get("/stories/feed", responses=problems(400, 401, 422, 503))
async def get_tray(me: Reader, stores: Opened, fresh: Fresh, cursor: From = None, limit: Limit = 30) -> Tray:
    """Those whom one follows who have stories now: who has something unseen first, then by closeness (stories of theirs
    that one saw within a week, and reactions, each of which counts for four), then the newest."""
    after = None if cursor is None else from_tray_cursor(cursor)
    near = await fresh.reach_near(me.user_id, "story_tray")
    await fresh.reach(me.user_id, *_VIEWS)
    return await StoryPresenter(stores, me.user_id).tray(me.user_id, near, after, limit)


@router.get("/users/{user}/stories", responses=problems(400, 401, 403, 404, 503))
async def list_stories_of_user(user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor) -> Stories:
    """What somebody's stories show now, the oldest first."""
    user_id, viewer_id = await user_id_of(stores, user), visitor.user_id if visitor else None
    await fresh.reach(user_id, *_VIEWS)
    await open_person(stores, viewer_id, user_id)
    ids = await stores.stories.of_authors([user_id], stores.clock())
    rows = [row for row in (await stores.stories.by_ids(ids)).values() if row.published_at is not None]
    rows.sort(key=lambda row: (row.published_at or 0, row.story_id))
    return Stories(items=await StoryPresenter(stores, viewer_id).stories(rows), next_cursor=None)


@router.get("/stories/{story_id}", responses=problems(400, 401, 404, 503))
async def get_story(story_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh) -> Story:
    """One story, while it lives or stands in a highlight. Its author sees it from the start."""
    viewer_id = visitor.user_id if visitor else None
    await fresh.reach(viewer_id or 0, *_VIEWS)
    row = await _open(stores, story_id, viewer_id)
    shown = await StoryPresenter(stores, viewer_id).stories([row])
    if not shown:
        raise not_found("story")
    return shown[0]


@router.post("/stories/{story_id}/views", responses=_ANSWERS | problems(413, 415))
async def see_story(story_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said, watched: How) -> StorySeen:
    """Say that one saw a story; again is as good as once. Nobody is told what one sees of one's own."""
    await fresh.reach(me.user_id, *_VIEWS)
    row = await _open(stores, story_id, me.user_id)
    if row.author_id != me.user_id:
        await log.say(
            StoryViewed(
                **log.by(me.user_id),
                story_id=row.story_id,
                author_id=row.author_id,
                watched_ms=watched.watched_ms,
                completed=watched.completed,
            )
        )
    return StorySeen(story_id=story_id, seen=True)


@router.get("/stories/{story_id}/viewers", responses=problems(400, 401, 403, 404, 422, 503))
async def list_viewers(
    story_id: IdPath, me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 50
) -> Viewers:
    """Who saw one's story, or reacted to it, within two days, by id."""
    await fresh.reach(me.user_id, *_VIEWS)
    row = await _own(stores, story_id, me.user_id)
    found = await stores.story_views.viewers(row.story_id, cursor or 0, limit + 1, stores.clock())
    people = await Presenter(stores).people(me.user_id, [one.viewer_id for one in found[:limit]])
    items = [
        Viewer(
            person=people[one.viewer_id],
            viewed_at=moment(one.viewed_at),
            completed=one.completed,
            reaction=one.reaction,
        )
        for one in found[:limit]
        if one.viewer_id in people
    ]
    return Viewers(items=items, next_cursor=to_cursor(found[limit - 1].viewer_id) if len(found) > limit else None)


@router.put("/stories/{story_id}/reaction", responses=problems(400, 401, 404, 413, 415, 422, 429, 503))
async def react(story_id: IdPath, body: ReactionDraft, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Reaction:
    """Answer a story with an emoji, in place of any before. Its author alone is told."""
    await fresh.reach(me.user_id, *_VIEWS)
    row = await _open(stores, story_id, me.user_id)
    if row.author_id == me.user_id:
        raise Problem(422, "own-story", "Nobody reacts to their own story. Choose somebody else's.")
    said = log.by(me.user_id)
    await log.say(StoryReacted(**said, story_id=row.story_id, author_id=row.author_id, reaction=body.reaction))
    return Reaction(story_id=story_id, reaction=body.reaction)


@router.delete("/stories/{story_id}/reaction", responses=_ANSWERS)
async def withdraw_reaction(story_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Reaction:
    """Take one's reaction back, whether or not there was one."""
    await fresh.reach(me.user_id, *_VIEWS)
    row = await _open(stores, story_id, me.user_id)
    await log.say(StoryReactionWithdrawn(**log.by(me.user_id), story_id=row.story_id, author_id=row.author_id))
    return Reaction(story_id=story_id, reaction=None)


@router.delete("/stories/{story_id}", status_code=204, responses=problems(400, 401, 403, 404, 429, 503))
async def delete_story(story_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Delete one's story for good, out of every highlight too."""
    await fresh.reach(me.user_id, *_VIEWS)
    row = await _own(stores, story_id, me.user_id)
    await log.say(StoryDeleted(**log.by(me.user_id), story_id=row.story_id, author_id=me.user_id))


async def _open(stores: Stores, story_id: str, viewer_id: int | None) -> StoryRow:
    """The story; ``Problem`` 404 where ``viewer_id`` may not see it now."""
    row = await stores.stories.open(id_of(story_id, "story"), stores.clock())
    if row is None or not await may_see(stores, row, viewer_id):
        raise not_found("story")
    return row


async def _own(stores: Stores, story_id: str, user_id: int) -> StoryRow:
    """One's own story; ``Problem`` 403 or 404."""
    row = await _open(stores, story_id, user_id)
    check_author(row.author_id, user_id, "story")
    return row
