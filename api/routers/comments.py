"""Comments on posts, and replies to them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from fastapi import APIRouter, Request

from api import commenting, naming
from api.bodies import CommentDraft
from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.identity import Visitor, Writer
from api.log import Said
from api.models import Comment, Commenting, Comments, Pin
from api.presenting import Presenter
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import IdPath, about, check_author, id_of, key_of, open_post
from api.stores import Opened, Stores
from schemas.events import (
    CommentAdded,
    CommentDeleted,
    CommentPinned,
    CommentsDisabled,
    CommentsEnabled,
    CommentUnpinned,
)
from schemas.ids import MAX_ID
from sinks.comments import CommentPlace, CommentRow
from sinks.posts import PostRow
from sinks.sealing import seal
from streams.rules import may_meet
from streams.spam import score

PINNED_AT_MOST = 3
LOOKED_AT, NAMED_AT_MOST = 100, 200
"""Replies of a comment that is deleted, and people named in all of these, who are told at once that it is gone."""
router = APIRouter(prefix="/api/v1", tags=["comments"])
_ANSWERS = problems(400, 401, 403, 404, 429, 503)


@router.post(
    "/posts/{post_id}/comments", status_code=201, responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503)
)
async def comment(
    post_id: IdPath,
    body: CommentDraft,
    request: Request,
    me: Writer,
    stores: Opened,
    fresh: Fresh,
    retry: Retried,
    log: Said,
) -> Comment:
    """Comment a post, or reply to one of its comments."""
    await fresh.reach(me.user_id, "posts", "comments", "follows")
    post = await open_post(stores, id_of(post_id, "post"), me.user_id)
    parent = await _parent(stores, post, body.parent_id, me.user_id) if body.parent_id else None
    if await stores.comments.disabled(post.post_id):
        raise Problem(403, "comments-disabled", "The author of this post lets nobody comment it any more.")
    said = await naming.read(stores, me.user_id, body.text)
    key = await key_of(stores, me.user_id)
    claim = await retry.claim(str(me.user_id), "comments", post_id, body.parent_id or "", body.text)
    await commenting.check(request, stores, me.user_id, post.post_id, body.text, claim, keyed=retry.is_keyed)
    event = CommentAdded(
        **log.by(me.user_id, event_id=claim.id, at=claim.at),
        comment_id=claim.id,
        post_id=post.post_id,
        author_id=post.author_id,
        parent_id=parent.comment_id if parent else 0,
        parent_author_id=parent.user_id if parent else 0,
        text=seal(key, me.user_id, body.text),
        mentions=said.mentions,
        hashtags=said.hashtags,
        post_hashtags=list(post.hashtags),
        place=post.place,
        spam=score(body.text),
    )
    await log.say(event)
    row = CommentRow(
        *(event.post_id, event.parent_id, event.comment_id, me.user_id, event.text, event.at),
        *(event.mentions, event.hashtags),
    )
    (shown,) = await Presenter(stores).comments(me.user_id, post.post_id, [row], counted=False)
    return shown.model_copy(update={"reply_count": 0})


@router.get("/posts/{post_id}/comments", responses=problems(400, 401, 404, 422, 503))
async def list_comments(
    post_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30
) -> Comments:
    """The comments on a post, newest first, without the replies to them."""
    viewer_id = visitor.user_id if visitor else None
    counted = await _reach(fresh, viewer_id)
    post = await open_post(stores, id_of(post_id, "post"), viewer_id)
    rows, pinned, disabled = await asyncio.gather(
        stores.comments.newest(post.post_id, cursor or MAX_ID, limit + 1),
        stores.comments.pinned(post.post_id),
        stores.comments.disabled(post.post_id),
    )
    ids = [row.comment_id for row in pinned]
    rest = [row for row in rows[:limit] if row.comment_id not in ids]
    above = pinned if cursor is None else []
    shown = await Presenter(stores).comments(viewer_id, post.post_id, [*above, *rest], ids, counted)
    after = to_cursor(rows[limit - 1].comment_id) if len(rows) > limit else None
    items, first = [one for one in shown if not one.pinned], [one for one in shown if one.pinned]
    return Comments(items=items, pinned=first, disabled=disabled, next_cursor=after)


@router.get("/comments/{comment_id}/replies", responses=problems(400, 401, 404, 422, 503))
async def list_replies(
    comment_id: IdPath, visitor: Visitor, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30
) -> Comments:
    """The replies to a comment, oldest first."""
    viewer_id = visitor.user_id if visitor else None
    await _reach(fresh, viewer_id)
    place, post, *_ = await _open(stores, id_of(comment_id, "comment"), viewer_id)
    if place.parent_id:
        raise not_found("comment")
    rows, disabled = await asyncio.gather(
        stores.comments.replies(post.post_id, place.comment_id, cursor or 0, limit + 1),
        stores.comments.disabled(post.post_id),
    )
    shown = await Presenter(stores).comments(viewer_id, post.post_id, rows[:limit])
    after = to_cursor(rows[limit - 1].comment_id) if len(rows) > limit else None
    return Comments(items=shown, pinned=[], disabled=disabled, next_cursor=after)


@router.delete("/comments/{comment_id}", status_code=204, responses=_ANSWERS)
async def delete_comment(comment_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Delete a comment for good, and the replies to it: one's own, or any under one's own post."""
    place, post, row, parent = await _to_change(stores, fresh, comment_id, me.user_id)
    if me.user_id not in (place.user_id, post.author_id):
        raise Problem(403, "not-yours", "Only who wrote a comment, or the author of the post, can delete it.")
    replies = [] if parent else await stores.comments.replies(post.post_id, place.comment_id, 0, LOOKED_AT)
    mentioned = dict.fromkeys(person for one in (row, *replies) for person in one.mentions)
    await log.say(
        CommentDeleted(
            **log.by(me.user_id),
            **about(post),
            comment_id=place.comment_id,
            parent_id=place.parent_id,
            parent_author_id=parent.user_id if parent else 0,
            commenter_id=place.user_id,
            mentions=list(mentioned)[:NAMED_AT_MOST],
            replied=bool(replies),
        )
    )


@router.put("/comments/{comment_id}/pin", responses=problems(400, 401, 403, 404, 409, 429, 503))
async def pin_comment(comment_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Pin:
    """Let a comment stand above the others under one's post; three at most, and no replies."""
    place, post, *_ = await _to_change(stores, fresh, comment_id, me.user_id)
    check_author(post.author_id, me.user_id)
    if place.parent_id:
        raise Problem(409, "reply-pinned", "Replies stand under their comment and cannot be pinned. Pin the comment.")
    pinned = {row.comment_id for row in await stores.comments.pinned(post.post_id)} - {place.comment_id}
    if len(pinned) >= PINNED_AT_MOST:
        detail = f"{PINNED_AT_MOST} comments are pinned already, and no more can be. Unpin one of them first."
        raise Problem(409, "too-many-pinned", detail)
    said = log.by(me.user_id)
    await log.say(CommentPinned(**said, comment_id=place.comment_id, post_id=post.post_id, author_id=post.author_id))
    return Pin(comment_id=comment_id, pinned=True)


@router.delete("/comments/{comment_id}/pin", responses=_ANSWERS)
async def unpin_comment(comment_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Pin:
    """Let a comment stand where it stood before it was pinned, whether or not it was."""
    place, post, *_ = await _to_change(stores, fresh, comment_id, me.user_id)
    check_author(post.author_id, me.user_id)
    said = log.by(me.user_id)
    await log.say(CommentUnpinned(**said, comment_id=place.comment_id, post_id=post.post_id, author_id=post.author_id))
    return Pin(comment_id=comment_id, pinned=False)


@router.delete("/posts/{post_id}/comments", responses=_ANSWERS)
async def disable_comments(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Commenting:
    """Let nobody comment one's post any more. The comments that are there stay."""
    return await _switch(post_id, me.user_id, stores, fresh, log, CommentsDisabled)


@router.put("/posts/{post_id}/comments", responses=_ANSWERS)
async def enable_comments(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Commenting:
    """Let everybody comment one's post again."""
    return await _switch(post_id, me.user_id, stores, fresh, log, CommentsEnabled)


async def _switch(
    post_id: str,
    user_id: int,
    stores: Stores,
    fresh: Fresh,
    log: Said,
    event: type[CommentsDisabled] | type[CommentsEnabled],
) -> Commenting:
    await fresh.reach(user_id, "posts", "follows")
    post = await open_post(stores, id_of(post_id, "post"), user_id)
    check_author(post.author_id, user_id)
    await log.say(event(**log.by(user_id), post_id=post.post_id, author_id=post.author_id))
    return Commenting(post_id=post_id, disabled=event is CommentsDisabled)


async def _reach(fresh: Fresh, viewer_id: int | None) -> bool:
    """Wait for what comments are shown from; whether the counters can be asked."""
    counted, _ = await asyncio.gather(
        fresh.reach_counts(viewer_id or 0), fresh.reach(viewer_id or 0, "posts", "comments", "accounts", "follows")
    )
    return counted


class _Found(NamedTuple):
    """A comment; ``parent`` is what it replies to."""

    place: CommentPlace
    post: PostRow
    row: CommentRow
    parent: CommentRow | None


async def _to_change(stores: Stores, fresh: Fresh, comment_id: str, user_id: int) -> _Found:
    await fresh.reach(user_id, "posts", "comments", "follows")
    return await _open(stores, id_of(comment_id, "comment"), user_id)


async def _open(stores: Stores, comment_id: int, viewer_id: int | None) -> _Found:
    """A comment that stands, under a post that ``viewer_id`` may see; ``Problem`` 404."""
    place = await stores.comments.place(comment_id)
    if place is None:
        raise not_found("comment")
    post, (row, parent) = await asyncio.gather(open_post(stores, place.post_id, viewer_id), _standing(stores, place))
    # Who may not know of the person knows of no comment of theirs, but under one's own post one can always tidy up.
    if post.author_id != viewer_id:
        await _check_met(stores, viewer_id, row, parent)
    return _Found(place, post, row, parent)


async def _standing(stores: Stores, place: CommentPlace) -> tuple[CommentRow, CommentRow | None]:
    """The comment that was written at ``place``, and what it replies to; ``Problem`` 404 unless both stand."""
    rows, parents = await asyncio.gather(
        stores.comments.some(place.post_id, place.parent_id, [place.comment_id]),
        stores.comments.some(place.post_id, 0, [place.parent_id] if place.parent_id else []),
    )
    if not rows or (place.parent_id and not parents):
        raise not_found("comment")
    return rows[0], parents[0] if parents else None


async def _check_met(stores: Stores, viewer_id: int | None, row: CommentRow, parent: CommentRow | None) -> None:
    user_ids = {row.user_id, *([parent.user_id] if parent else [])}
    facts = await stores.relations.facts(viewer_id, user_ids)
    if not all(may_meet(facts, user_id) for user_id in user_ids):
        raise not_found("comment")


async def _parent(stores: Stores, post: PostRow, parent_id: str, viewer_id: int) -> CommentRow:
    """The comment of ``post`` that is replied to; ``Problem`` 404 or 422."""
    place = await stores.comments.place(id_of(parent_id, "comment"))
    if place is None or place.post_id != post.post_id:
        raise not_found("comment")
    row, above = await _standing(stores, place)
    await _check_met(stores, viewer_id, row, above)
    # Last: of what nobody may see it says nothing, and of what hangs on it neither.
    if above is not None:
        detail = f"Replies have no replies of their own. Reply to the comment {place.parent_id}, and name the person."
        raise Problem(422, "reply-to-reply", detail)
    return row
