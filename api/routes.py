"""What routes share: ids in addresses, and people by name or id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Path

from api.cursors import to_cursor
from api.models import People
from api.presenting import Presenter
from api.problems import Problem, not_found
from api.stores import Stores
from api.usernames import find_named
from schemas.ids import MAX_ID
from sinks.posts import PostRow
from streams.rules import Facts, may_meet, may_open, view_of

UserPath = Annotated[str, Path(description="A username or a user id.", examples=["ada", "1000000000000000001"])]
IdPath = Annotated[str, Path(description="An id.", examples=["1000000000000000001"])]


def id_of(text: str, what: str) -> int:
    """The id in an address; anything else names no ``what``: ``Problem`` 404."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID)) and 0 < int(text) <= MAX_ID):
        raise not_found(what)
    return int(text)


async def user_id_of(stores: Stores, user: str) -> int:
    """The person behind a username or an id. An id is taken as it is; an unknown name is ``Problem`` 404."""
    if user.isascii() and user.isdecimal():
        return id_of(user, "person")
    named = await find_named(stores, user)
    if named is None:
        raise not_found("person")
    return named.user_id


def not_oneself(me: int, user_id: int, do: str) -> None:
    """Raise ``Problem`` 422 for somebody who would ``do`` something to themselves."""
    if user_id == me:
        raise Problem(422, f"self-{do}", f"Nobody can {do} themselves. Choose somebody else.")


async def list_people(
    stores: Stores, viewer_id: int | None, ids: Sequence[int], limit: int, goes_on_after: int | None = None
) -> People:
    """A page of the first ``limit`` of ``ids``, as the viewer may see them; it goes on where there are more ids, or
    after ``goes_on_after``."""
    people = await Presenter(stores).people(viewer_id, ids[:limit])
    after = ids[limit - 1] if len(ids) > limit else goes_on_after
    return People(items=list(people.values()), next_cursor=None if after is None else to_cursor(after))


async def check_person(stores: Stores, user_id: int, facts: Facts | None = None) -> None:
    """Raise ``Problem`` 404 unless there is such a person: in the view, or registered here a moment ago; and, given
    ``facts``, unless the viewer may know of them."""
    if facts is not None and not may_meet(facts, user_id):
        raise not_found("person")
    if user_id not in await stores.accounts.by_ids([user_id]) and await stores.credentials.find(user_id) is None:
        raise not_found("person")


def about(post: PostRow) -> dict[str, Any]:
    """What an event about a post says of it, so that no projection has to look it up."""
    return {
        "post_id": post.post_id,
        "author_id": post.author_id,
        "hashtags": list(post.hashtags),
        "place": post.place,
    }


def check_author(author_id: int, user_id: int, what: str = "post") -> None:
    """Raise ``Problem`` 403 unless the ``what`` is one's own."""
    if author_id != user_id:
        raise Problem(403, "not-yours", f"This {what} is somebody else's: only its author can change or delete it.")


async def check_own_media(stores: Stores, user_id: int, media_ids: Sequence[int]) -> None:
    """Raise ``Problem`` 422 or 403 unless all of these uploads are this person's: by the gateway's own record, since
    the view may not have seen an upload of a moment ago; by the view for media that came into the log on another way.
    """
    owners = await stores.submissions.owners(media_ids)
    others = [media_id for media_id in media_ids if media_id not in owners]
    rows = await stores.posts.media(others) if others else {}
    owners |= {media_id: row.owner_id for media_id, row in rows.items() if row.owner_id is not None}
    for media_id in media_ids:
        if media_id not in owners:
            raise Problem(422, "media-unknown", f"There is no upload {media_id}. Upload the picture first.")
        if owners[media_id] != user_id:
            raise Problem(403, "media-not-yours", f"The upload {media_id} is somebody else's. Upload it yourself.")


async def open_post(stores: Stores, post_id: int, viewer_id: int | None) -> PostRow:
    """The post, as the view has it or as it was submitted; ``Problem`` 404 where ``viewer_id`` may not see it."""
    row = (await stores.posts.by_ids([post_id])).get(post_id) or await _submitted(stores, post_id)
    if row is None:
        raise not_found("post")
    if not may_open(row, await stores.relations.facts(viewer_id, [row.author_id])):
        raise not_found("post")
    return row


async def open_person(stores: Stores, viewer_id: int | None, user_id: int) -> None:
    """Raise ``Problem`` 404, or 403 for the private, unless the viewer sees what ``user_id`` posts and whom they
    follow."""
    view = view_of(await stores.relations.facts(viewer_id, [user_id]), user_id)
    if view == "hidden":
        raise not_found("person")
    await check_person(stores, user_id)
    if view == "private":
        detail = "This account is private: only approved followers see this. Ask to follow it."
        raise Problem(403, "private-account", detail)


async def key_of(stores: Stores, user_id: int) -> bytes:
    """The key under which this person's text is sealed; ``Problem`` 401 where their account is gone."""
    key = (await stores.keys.get_many([user_id])).get(user_id)
    if key is None:
        raise Problem(401, "account-gone", "This account is gone. Log in with another one.")
    return key


async def _submitted(stores: Stores, post_id: int) -> PostRow | None:
    submitted = await stores.submissions.post(post_id)
    if submitted is None:
        return None
    return PostRow(
        post_id=post_id,
        author_id=submitted.author_id,
        media_ids=submitted.media_ids,
        caption=submitted.caption,
        submitted_at=submitted.at,
        edited_at=None,
        published_at=None,
        media=[],
        rejected_code=None,
        rejected_reason=None,
        deleted=False,
        mentions=submitted.mentions,
        tagged=submitted.tagged,
        hashtags=submitted.hashtags,
        place=submitted.place,
    )
