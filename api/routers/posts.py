"""Posts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Response

from api import naming
from api.bodies import CaptionChange, PostDraft
from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.home_feed import page
from api.identity import Visitor, Writer
from api.log import Said
from api.models import CaptionChanged, Post, PostAccepted, Posts
from api.presenting import Presenter
from api.problems import Problem, problems
from api.retries import Retried
from api.routes import (
    IdPath,
    UserPath,
    check_author,
    check_own_media,
    id_of,
    key_of,
    open_person,
    open_post,
    user_id_of,
)
from api.stores import Opened, Stores
from schemas.events import PostDeleted, PostEdited, PostSubmitted
from schemas.ids import MAX_ID
from sinks.idempotency import Submission
from sinks.last_edits import LastEdit
from sinks.posts import PostRow
from sinks.sealing import seal
from streams.notices import renaming
from streams.notifications import named

router = APIRouter(prefix="/api/v1", tags=["posts"])


@router.post("/posts", status_code=202, responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503))
async def submit_post(
    body: PostDraft, response: Response, me: Writer, stores: Opened, retry: Retried, log: Said
) -> PostAccepted:
    """Make a post of one's uploads. It is published, and in feeds, as soon as all their renditions exist."""
    media_ids = [id_of(media_id, "upload") for media_id in body.media_ids]
    if len(set(media_ids)) != len(media_ids):
        raise Problem(422, "media-repeated", "A post shows each upload once. Leave out the repeated ones.")
    await check_own_media(stores, me.user_id, media_ids)
    said, seen = await asyncio.gather(
        naming.read(stores, me.user_id, body.caption), naming.tagged(stores, me.user_id, body.tagged)
    )
    more = [*body.tagged, body.place] if body.tagged or body.place else []
    claim = await retry.claim(str(me.user_id), "posts", *body.media_ids, body.caption, *more)
    caption = seal(await key_of(stores, me.user_id), me.user_id, body.caption)
    submission = Submission(
        claim.id, me.user_id, media_ids, caption, claim.at, said.mentions, seen, said.hashtags, body.place
    )
    await stores.submissions.add_post(submission)
    await log.say(
        PostSubmitted(
            **log.by(me.user_id, event_id=claim.id, at=claim.at),
            post_id=claim.id,
            author_id=me.user_id,
            media_ids=media_ids,
            caption=caption,
            mentions=said.mentions,
            tagged=seen,
            hashtags=said.hashtags,
            place=body.place,
        )
    )
    response.headers["Location"] = f"/api/v1/posts/{claim.id}"
    return PostAccepted(id=str(claim.id))


@router.get("/posts/{post_id}", responses=problems(400, 401, 404, 503))
async def get_post(post_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh) -> Post:
    """One post. Its author sees it from the start, everybody else once it is published."""
    asked = id_of(post_id, "post")
    viewer_id = visitor.user_id if visitor else None
    counted, _ = await asyncio.gather(
        fresh.reach_counts(viewer_id or 0), fresh.reach(viewer_id or 0, "posts", "accounts", "follows", "likes")
    )
    row = await open_post(stores, asked, viewer_id)
    presenter = Presenter(stores)
    if viewer_id is None:
        return (await presenter.posts(viewer_id, [row], counted))[asked]
    shown, followed = await asyncio.gather(
        presenter.posts(viewer_id, [row], counted), presenter.liked_by_followed(viewer_id, asked)
    )
    return shown[asked].model_copy(update={"liked_by_followed": followed})


@router.patch("/posts/{post_id}", responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503))
async def edit_caption(
    post_id: IdPath, body: CaptionChange, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> CaptionChanged:
    """Change the caption of one's post."""
    row = await _own(stores, fresh, id_of(post_id, "post"), me.user_id)
    last = await _last_words(stores, row)
    said = await naming.read(stores, me.user_id, body.caption)
    seen = list(last.tagged) if body.tagged is None else await naming.tagged(stores, me.user_id, body.tagged)
    caption = seal(await key_of(stores, me.user_id), me.user_id, body.caption)
    edit = PostEdited(
        **log.by(me.user_id),
        post_id=row.post_id,
        author_id=me.user_id,
        caption=caption,
        mentions=said.mentions,
        tagged=seen,
        hashtags=said.hashtags,
        place=last.place if body.place is None else body.place,
        **renaming(named(last.mentions, last.tagged), named(said.mentions, seen))._asdict(),
    )
    await log.say(edit)
    await stores.last_edits.keep(row.post_id, LastEdit(edit.at, edit.mentions, edit.tagged, edit.place))
    return CaptionChanged(id=post_id, caption=body.caption)


@router.delete("/posts/{post_id}", status_code=204, responses=problems(400, 401, 403, 404, 429, 503))
async def delete_post(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Delete one's post, for good."""
    row = await _own(stores, fresh, id_of(post_id, "post"), me.user_id)
    await log.say(PostDeleted(**log.by(me.user_id), post_id=row.post_id, author_id=me.user_id))


@router.get("/users/{user}/posts", responses=problems(400, 401, 403, 404, 422, 503))
async def list_posts_of_user(
    user: UserPath, stores: Opened, fresh: Fresh, visitor: Visitor, cursor: Cursor, limit: Limit = 30
) -> Posts:
    """A person's published posts, newest first."""
    user_id = await user_id_of(stores, user)
    counted, _ = await asyncio.gather(
        fresh.reach_counts(user_id), fresh.reach(user_id, "user_posts", "posts", "accounts", "follows")
    )
    presenter, viewer_id = Presenter(stores), visitor.user_id if visitor else None
    await open_person(stores, viewer_id, user_id)

    async def older(before: int, count: int) -> list[int]:
        return await stores.posts.user_posts(user_id, before, count)

    async def look(ids: Sequence[int]) -> dict[int, Post]:
        return await presenter.public_posts(viewer_id, ids, counted)

    # A list without a part in Redis is one whose floor is at its top.
    found = await page([], MAX_ID - 1, cursor or MAX_ID, limit, older=older, look=look)
    return Posts(items=found.shown, next_cursor=None if found.after is None else to_cursor(found.after))


async def _last_words(stores: Stores, row: PostRow) -> LastEdit:
    """What was said of a post last, as far as is known: by the view, or by an edit that it does not hold yet."""
    held = LastEdit(row.edited_at or 0, list(row.mentions), list(row.tagged), row.place)
    last = await stores.last_edits.of(row.post_id)
    return last if last is not None and last.at > held.at else held


async def _own(stores: Stores, fresh: Fresh, post_id: int, user_id: int) -> PostRow:
    """One's own post; ``Problem`` 403 or 404."""
    await fresh.reach(user_id, "posts")
    row = await open_post(stores, post_id, user_id)
    check_author(row.author_id, user_id)
    return row
