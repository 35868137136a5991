"""Saves: the posts that one keeps for oneself, in collections or not; and sharing a post."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from api.bodies import CollectionName
from api.consistency import Fresh
from api.cursors import Cursor, Limit, to_cursor
from api.home_feed import page
from api.identity import Reader, Writer
from api.log import Said
from api.models import Collection, Collections, Post, Posts, Save, Share
from api.presenting import Presenter, moment
from api.problems import Problem, not_found, problems
from api.retries import Retried
from api.routes import IdPath, about, id_of, key_of, open_post
from api.stores import Opened, Stores
from schemas.events import (
    CollectionDeleted,
    CollectionMade,
    CollectionRenamed,
    PostSaved,
    PostShared,
    PostUnsaved,
)
from schemas.ids import MAX_ID
from sinks.saves import CollectionRow
from sinks.sealing import opened, seal

COLLECTIONS_AT_MOST = 100
router = APIRouter(prefix="/api/v1", tags=["saves"])
_ANSWERS = problems(400, 401, 404, 422, 429, 503)
Into = Annotated[
    str | None, Query(description="A collection of one's own.", max_length=19, examples=["1000000000000000006"])
]


@router.post("/posts/{post_id}/save", responses=_ANSWERS)
async def save(
    post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said, collection_id: Into = None
) -> Save:
    """Keep a post for oneself; with `collection_id`, in that collection too."""
    await fresh.reach(me.user_id, "posts", "follows", "saves")
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    into = (await _own(stores, me.user_id, collection_id)).collection_id if collection_id else 0
    said = log.by(me.user_id)
    await log.say(PostSaved(**said, **about(row), collection_id=into))
    return Save(post_id=post_id, saved=True, collection_id=collection_id)


@router.delete("/posts/{post_id}/save", responses=_ANSWERS)
async def unsave(
    post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said, collection_id: Into = None
) -> Save:
    """Keep a post no longer; with `collection_id`, only no longer in that collection. What one keeps can be let go even
    when one may not see it any more."""
    await fresh.reach(me.user_id, "posts", "follows", "saves")
    number = id_of(post_id, "post")
    row = (await stores.posts.by_ids([number])).get(number)
    if row is None or not await stores.saves.keeps(me.user_id, number):
        row = await open_post(stores, number, me.user_id)
    out_of = (await _own(stores, me.user_id, collection_id)).collection_id if collection_id else 0
    said = log.by(me.user_id)
    await log.say(PostUnsaved(**said, **about(row), collection_id=out_of))
    return Save(post_id=post_id, saved=bool(out_of), collection_id=None)


@router.post("/posts/{post_id}/share", responses=_ANSWERS)
async def share(post_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> Share:
    """Pass a post on: it is counted, once for each person, and the answer is the address to give to others."""
    await fresh.reach(me.user_id, "posts", "follows")
    row = await open_post(stores, id_of(post_id, "post"), me.user_id)
    await log.say(PostShared(**log.by(me.user_id), **about(row)))
    return Share(post_id=post_id, url=Presenter(stores).post_url(row.post_id))


@router.get("/me/saved", responses=problems(400, 401, 422, 503))
async def list_saved(me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30) -> Posts:
    """The posts that one keeps, the newest posts first."""
    return await _page(stores, fresh, me.user_id, 0, cursor, limit)


@router.get("/me/collections", responses=problems(400, 401, 503))
async def list_collections(me: Reader, stores: Opened, fresh: Fresh) -> Collections:
    """One's collections, the newest first: 100 at most, on one page."""
    await fresh.reach(me.user_id, "saves")
    rows, keys = await asyncio.gather(stores.saves.collections(me.user_id), stores.keys.get_many([me.user_id]))
    return Collections(items=[_shown(row, opened(keys, me.user_id, row.name)) for row in rows], next_cursor=None)


@router.post("/me/collections", status_code=201, responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def make_collection(
    body: CollectionName, me: Writer, stores: Opened, fresh: Fresh, retry: Retried, log: Said
) -> Collection:
    """Make a collection, which only oneself sees."""
    await fresh.reach(me.user_id, "saves")
    if len(await stores.saves.collections(me.user_id)) >= COLLECTIONS_AT_MOST:
        detail = f"You have {COLLECTIONS_AT_MOST} collections, and no more can be. Delete one of them first."
        raise Problem(409, "too-many-collections", detail)
    claim = await retry.claim(str(me.user_id), "collections", body.name)
    name = seal(await key_of(stores, me.user_id), me.user_id, body.name)
    said = log.by(me.user_id, event_id=claim.id, at=claim.at)
    await log.say(CollectionMade(**said, collection_id=claim.id, owner_id=me.user_id, name=name))
    return _shown(CollectionRow(claim.id, name, claim.at), body.name)


@router.get("/me/collections/{collection_id}/posts", responses=problems(400, 401, 404, 422, 503))
async def list_collection(
    collection_id: IdPath, me: Reader, stores: Opened, fresh: Fresh, cursor: Cursor, limit: Limit = 30
) -> Posts:
    """The posts in a collection, the newest posts first."""
    await fresh.reach(me.user_id, "saves")
    own = await _own(stores, me.user_id, collection_id)
    return await _page(stores, fresh, me.user_id, own.collection_id, cursor, limit)


@router.patch("/me/collections/{collection_id}", responses=problems(400, 401, 404, 413, 415, 422, 429, 503))
async def rename_collection(
    collection_id: IdPath, body: CollectionName, me: Writer, stores: Opened, fresh: Fresh, log: Said
) -> Collection:
    """Give a collection another name."""
    await fresh.reach(me.user_id, "saves")
    own = await _own(stores, me.user_id, collection_id)
    name = seal(await key_of(stores, me.user_id), me.user_id, body.name)
    said = log.by(me.user_id)
    await log.say(CollectionRenamed(**said, collection_id=own.collection_id, owner_id=me.user_id, name=name))
    return _shown(own, body.name)


@router.delete("/me/collections/{collection_id}", status_code=204, responses=problems(400, 401, 404, 429, 503))
async def delete_collection(collection_id: IdPath, me: Writer, stores: Opened, fresh: Fresh, log: Said) -> None:
    """Delete a collection for good. The posts in it stay saved."""
    await fresh.reach(me.user_id, "saves")
    own = await _own(stores, me.user_id, collection_id)
    await log.say(CollectionDeleted(**log.by(me.user_id), collection_id=own.collection_id, owner_id=me.user_id))


async def _own(stores: Stores, user_id: int, collection_id: str) -> CollectionRow:
    """One's collection; ``Problem`` 404."""
    own = await stores.saves.collection(user_id, id_of(collection_id, "collection"))
    if own is None:
        raise not_found("collection")
    return own


async def _page(
    stores: Stores, fresh: Fresh, user_id: int, collection_id: int, cursor: int | None, limit: int
) -> Posts:
    counted, _ = await asyncio.gather(
        fresh.reach_counts(user_id), fresh.reach(user_id, "saves", "posts", "accounts", "follows")
    )
    presenter = Presenter(stores)

    async def older(before: int, count: int) -> list[int]:
        return await stores.saves.posts(user_id, collection_id, before, count)

    async def look(ids: Sequence[int]) -> dict[int, Post]:
        return await presenter.public_posts(user_id, ids, counted)

    found = await page([], MAX_ID - 1, cursor or MAX_ID, limit, older=older, look=look)
    return Posts(items=found.shown, next_cursor=None if found.after is None else to_cursor(found.after))


def _shown(row: CollectionRow, name: str) -> Collection:
    return Collection(id=str(row.collection_id), name=name, made_at=moment(row.made_at))
